"""A made-up forest: a folder in the competition's layout, made as the real one was made, with its truth beside it.

Voices, sites and weather are drawn (`voices`, `soundscape`, `census`), recordings rendered (`field_recording`), then
a template matcher runs over them all (`template_matching`) and a simulated expert calls its hits TP or FP
(`listing`). Labels are thus incomplete and biased as in the competition: loud, clean, typical calls are listed, most
calls are not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import soundfile

from rfcx_model.errors import InputError
from rfcx_model.field_recording import TrueCall, record
from rfcx_model.forest import Forest, World, generator, world_of
from rfcx_model.listing import (
    HITS_PER_TEMPLATE,
    THRESHOLD,
    Row,
    box_of,
    exemplars,
    lines,
    list_hits,
    overlaps,
)
from rfcx_model.species_facts import TEMPLATES
from rfcx_model.template_matching import Hit, Spectrogram, Template, cut, match, spectrogram

__all__ = ["Forest", "write"]

BOX_COLUMNS = "recording_id,species_id,songtype_id,t_min,f_min,t_max,f_max"
Task = TypeVar("Task")
Result = TypeVar("Result")


def write(forest: Forest, folder: Path, workers: int = 1, progress: Callable[[int, int], None] | None = None) -> Path:
    """Make `folder` in the competition's layout and its truth in `<folder>-truth`; whole or not at all.

    Args:
        forest: the options.
        folder: must not exist, nor its truth.
        workers: processes; the bytes are the same for any number.
        progress: called with (steps done, steps in all); a step is a recording rendered or searched.

    Returns:
        The folder of the truth: `test_truth.csv` and `train_truth.csv` (recording_id, s0, s1, ...: 1 where at least
        one audible call sounds), `all_calls.csv`, `all_recordings.csv` and `forest.json`.

    Raises:
        InputError: one of the two folders exists, or their parent is not a folder.
    """
    truth = folder.with_name(folder.name + "-truth")
    for target in (folder, truth):
        if target.exists():
            raise InputError(f"{target}: a made-up forest needs a new folder, but this one exists. Give another name.")
    if not folder.parent.is_dir():
        raise InputError(f"{folder.parent}: a folder to hold the forest must stand here, but none does. Make it first.")
    drafts = [target.with_name(f".{target.name}.part") for target in (folder, truth)]
    try:
        for draft in drafts:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
        _fill(
            forest,
            drafts[0],
            drafts[1],
            _Steps(forest.train_recordings * 2 + forest.test_recordings, progress),
            workers,
        )
        drafts[1].rename(truth)
        drafts[0].rename(folder)
    finally:
        for draft in drafts:
            shutil.rmtree(draft, ignore_errors=True)
    return truth


@dataclass
class _Steps:
    """Counts steps and tells who wants to know."""

    total: int
    progress: Callable[[int, int], None] | None
    done: int = 0

    def count(self, results: Iterator[Result]) -> Iterator[Result]:
        for result in results:
            self.done += 1
            if self.progress is not None:
                self.progress(self.done, self.total)
            yield result


def _fill(forest: Forest, folder: Path, truth: Path, steps: _Steps, workers: int) -> None:
    world = world_of(forest)
    (folder / "train").mkdir()
    (folder / "test").mkdir()
    order = sorted(range(len(world.recording_ids)), key=lambda index: world.recording_ids[index])
    train_ids = sorted(world.recording_ids[: forest.train_recordings])
    with _pool(workers) as pool:
        rendering = _each(pool, partial(_render, forest, folder), order)
        calls = [call for found in steps.count(rendering) for call in found]
        searching = _each(pool, partial(_search, forest, folder, _cut_templates(forest, folder, calls)), train_ids)
        hits = dict(zip(train_ids, steps.count(searching), strict=True))
    searched = [call for call in calls if call.recording_id in hits]
    rows = list_hits(forest, hits, searched, generator(forest, 4), generator(forest, 5))
    _write_folder(forest, world, rows, folder)
    _write_truth(forest, world, calls, rows, truth)


def _pool(workers: int) -> AbstractContextManager[Executor | None]:
    if workers <= 1:
        return nullcontext()
    return ProcessPoolExecutor(workers, mp_context=get_context("forkserver"))


def _each(pool: Executor | None, work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
    return map(work, tasks) if pool is None else pool.map(work, tasks, chunksize=4)


def _render(forest: Forest, folder: Path, index: int) -> list[TrueCall]:
    split = "train" if index < forest.train_recordings else "test"
    return record(forest, index, folder / split / f"{world_of(forest).recording_ids[index]}.flac")


def _search(forest: Forest, folder: Path, templates: list[Template], recording_id: str) -> list[Hit]:
    return match(_spectrogram(forest, folder, recording_id), templates, THRESHOLD, HITS_PER_TEMPLATE)


def _spectrogram(forest: Forest, folder: Path, recording_id: str) -> Spectrogram:
    samples, _rate = soundfile.read(folder / "train" / f"{recording_id}.flac", dtype="float32")
    return spectrogram(samples, forest.sample_rate_hz)


def _cut_templates(forest: Forest, folder: Path, calls: Sequence[TrueCall]) -> list[Template]:
    train = set(world_of(forest).recording_ids[: forest.train_recordings])
    chosen = exemplars([call for call in calls if call.recording_id in train], forest.duration_s)
    return [
        cut(_spectrogram(forest, folder, call.recording_id), template, box_of(call, forest.sample_rate_hz))
        for template, call in chosen.items()
    ]


def _write_folder(forest: Forest, world: World, rows: Sequence[Row], folder: Path) -> None:
    """The competition's files, and `recordings.csv` with the site of each train recording."""
    for name, confirmed in (("train_tp.csv", True), ("train_fp.csv", False)):
        _write_lines(folder / name, BOX_COLUMNS, lines(rows, confirmed, forest.sample_rate_hz))
    sites = {world.recording_ids[i]: world.visits[i].site.name for i in range(forest.train_recordings)}
    _write_lines(folder / "recordings.csv", "recording_id,site", [f"{id_},{sites[id_]}" for id_ in sorted(sites)])
    test = sorted(world.recording_ids[forest.train_recordings :])
    _write_lines(
        folder / "sample_submission.csv", _species_columns(forest), [id_ + ",0.5" * forest.species for id_ in test]
    )


def _write_truth(forest: Forest, world: World, calls: Sequence[TrueCall], rows: Sequence[Row], truth: Path) -> None:
    ids = {
        "train": world.recording_ids[: forest.train_recordings],
        "test": world.recording_ids[forest.train_recordings :],
    }
    split_of = {id_: split for split, members in ids.items() for id_ in members}
    heard = {(call.recording_id, call.species_id) for call in calls if call.audible}
    for split, members in ids.items():
        table = [
            ",".join([id_, *(str(int((id_, species_id) in heard)) for species_id in range(forest.species))])
            for id_ in sorted(members)
        ]
        _write_lines(truth / f"{split}_truth.csv", _species_columns(forest), table)
    head = BOX_COLUMNS.replace("recording_id", "recording_id,split") + ",snr_db,individual,listed"
    _write_lines(truth / "all_calls.csv", head, _call_lines(calls, rows, split_of))
    visited = sorted(zip(world.recording_ids, world.visits, strict=True), key=lambda pair: pair[0])
    table = [f"{id_},{split_of[id_]},{visit.site.name},{visit.hour:.2f}" for id_, visit in visited]
    _write_lines(truth / "all_recordings.csv", "recording_id,split,site,hour", table)
    (truth / "forest.json").write_text(json.dumps(asdict(forest), indent=2) + "\n", encoding="utf-8")


def _call_lines(calls: Sequence[TrueCall], rows: Sequence[Row], split_of: dict[str, str]) -> list[str]:
    confirmed: dict[tuple[str, int, int], list[Hit]] = {}
    for row in rows:
        if row.confirmed:
            facts = TEMPLATES[row.template]
            place = (row.recording_id, facts.species_id, facts.songtype_id)
            confirmed.setdefault(place, []).append(Hit(row.template, row.start_s, facts.duration_s, row.score))
    written = []
    for call in calls:
        place = (call.recording_id, call.species_id, call.songtype_id)
        listed = int(any(overlaps(hit, call) for hit in confirmed.get(place, ())))
        box = f"{call.t_min:.4f},{call.f_min:.1f},{call.t_max:.4f},{call.f_max:.1f}"
        head = f"{call.recording_id},{split_of[call.recording_id]},{call.species_id},{call.songtype_id}"
        written.append(f"{head},{box},{call.snr_db:.1f},{call.individual},{listed}")
    return written


def _species_columns(forest: Forest) -> str:
    return ",".join(["recording_id", *(f"s{species_id}" for species_id in range(forest.species))])


def _write_lines(path: Path, head: str, table: Sequence[str]) -> None:
    path.write_text("\n".join([head, *table]) + "\n", encoding="utf-8")
