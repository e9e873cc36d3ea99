"""An audit end to end on a tiny folder whose truth is known, before an expert who never errs; and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from made_model import write_model
from tiny import Sound, write_folder

from rfcx_model.errors import InputError
from rfcx_model.recordings import load
from study.audit import Asked, audit
from study.audit_folder import DESIGN, Design, read
from study.audited import Told, audited
from study.display import Display
from study.strata import STRATA, allocation

Call = Callable[..., tuple[int, str, str]]
TEST_RECORDINGS, WINDOWS = 40, 240  # six windows of a second each
Expert = Callable[[int, str, float], str]


@dataclass(frozen=True)
class Place:
    """A folder of data, and a model of it that is neither good nor useless."""

    data: Path
    model: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("audit")
    data = write_folder(folder / "data", Sound(recordings=24, test_recordings=TEST_RECORDINGS))
    return Place(data, write_model(folder / "model", data))


def present(species: int, recording_id: str, start_s: float) -> bool:
    """Whether half of the second of tone that `tiny` puts into each test recording lies in the window."""
    k = int(recording_id.removeprefix("test"))
    call_s = 0.5 + 0.25 * (k % 8)
    return k % 3 == species and min(call_s + 1.0, start_s + 1.024) - max(call_s, start_s) >= 0.5


def expert(species: int, recording_id: str, start_s: float) -> str:
    return "y" if present(species, recording_id, start_s) else "n"


def drawn(call: Call, place: Place, to: Path, windows: int, *more: object) -> Path:
    code, out, err = call("audit", place.model, "--data", place.data, "--to", to, "--windows", windows, *more)
    assert (code, out) == (0, f"{to}\n"), err
    return to


def answer(folder: Path, judge: Expert, until: int | None = None) -> None:
    """Put the expert's answers into the label tracks, up to a window."""
    for sample in json.loads((folder / DESIGN).read_text())["species"]:
        path = folder / f"s{sample['species']}.txt"
        lines = path.read_text().splitlines()
        for number, one in enumerate(sample["drawn"][:until]):
            said = judge(sample["species"], one["recording_id"], one["start_s"])
            lines[number] = lines[number].replace("?", said)
        path.write_text("\n".join(lines) + "\n")


def census(folder: Path, place: Place, threshold: float) -> dict[str, tuple[float, float]]:
    """Precision and recall of each species over all windows, counted one by one."""
    scores = read(folder).population.scores.astype(np.float64)
    ids = [name for name in load(place.data).test["recording_id"] for _ in range(6)]
    told = {}
    for species in range(3):
        truth = np.array([present(species, name, 1.024 * (k % 6)) for k, name in enumerate(ids)])
        above = scores[:, species] > threshold
        told[f"s{species}"] = float(truth[above].mean()), float(above[truth].mean())
    return told


def test_where_every_window_is_drawn_the_estimates_are_the_census(call: Call, place: Place, tmp_path: Path) -> None:
    folder = drawn(call, place, tmp_path / "audit", 3 * WINDOWS)
    answer(folder, expert)
    for threshold in (None, 0.1, 0.6):
        told = audited(folder, threshold)
        truth = census(folder, place, told.threshold)
        for row in told.rows[:3]:
            assert (row.judged, row.windows) == (WINDOWS, WINDOWS)
            for estimate, value in zip((row.quality.precision, row.quality.recall), truth[row.species], strict=True):
                assert estimate.low == estimate.value == estimate.high == pytest.approx(value, abs=1e-12)


def test_an_eighth_of_the_windows_tells_all_of_them_within_the_intervals(
    call: Call, place: Place, tmp_path: Path
) -> None:
    inside = 0
    for seed in range(4):
        folder = drawn(call, place, tmp_path / f"audit{seed}", 90, "--threshold", 0.09, "--seed", seed)
        answer(folder, expert)
        told, truth = audited(folder), census(folder, place, 0.09)
        for row in told.rows[:3]:
            for estimate, value in zip((row.quality.precision, row.quality.recall), truth[row.species], strict=True):
                inside += estimate.low <= value <= estimate.high
                assert 0 < estimate.high - estimate.low < 1
    assert inside >= 22  # of 24


def test_the_draw_is_stratified_and_its_sounds_are_the_drawn_windows(call: Call, place: Place, tmp_path: Path) -> None:
    folder = drawn(call, place, tmp_path / "audit", 61)
    design: Design = read(folder).design
    population = read(folder).population
    assert [len(sample.drawn) for sample in design.species] == [21, 20, 20]
    paths = dict(zip(load(place.data).test["recording_id"], load(place.data).test["path"], strict=True))
    for species, sample in enumerate(design.species):
        sizes = np.array([sample.strata[name] for name in STRATA])
        assert sizes.tolist() == np.bincount(population.stratum[:, species], minlength=3).tolist()
        counts = [sum(one.stratum == name for one in sample.drawn) for name in STRATA]
        assert counts == allocation(sizes, len(sample.drawn)).tolist()
        heard, rate_hz = soundfile.read(folder / f"{sample.name}.flac")
        for one in sample.drawn:
            assert STRATA[population.stratum[one.window, species]] == one.stratum
            recording, second = divmod(one.window, 6)
            assert one.recording_id == f"test{recording:03d}"
            assert one.start_s == pytest.approx(1.024 * second)
            first, last = (round(edge_s * rate_hz) for edge_s in one.span)
            own = soundfile.read(paths[one.recording_id])[0][round(one.start_s * rate_hz) :][: last - first]
            np.testing.assert_allclose(heard[first:last], own, atol=1e-4)


def test_the_person_sees_numbers_in_random_order_and_no_score(call: Call, place: Place, tmp_path: Path) -> None:
    folder = drawn(call, place, tmp_path / "audit", 90)
    design = read(folder).design
    for species, sample in enumerate(design.species):
        lines = (folder / f"{sample.name}.txt").read_text().splitlines()
        assert all(re.fullmatch(r"[\d.]+\t[\d.]+\t\d+ \?", line) for line in lines)
        scores = read(folder).population.scores[[one.window for one in sample.drawn], species]
        assert abs(np.corrcoef(scores, np.arange(len(scores)))[0, 1]) < 0.5
    names = {path.name for path in folder.iterdir()}
    tracks = {f"s{species}.{kind}" for species in range(3) for kind in ("txt", "flac")}
    assert names == tracks | {"audit.json", "windows.npz", "instructions.md"}
    assert f"rfcx-study audited {folder}" in (folder / "instructions.md").read_text()


def test_the_same_seed_draws_the_same_windows_and_another_others(call: Call, place: Place, tmp_path: Path) -> None:
    folders = [drawn(call, place, tmp_path / f"{n}", 30, "--seed", seed) for n, seed in enumerate((5, 5, 6))]
    first, again, other = ((folder / DESIGN).read_text() for folder in folders)
    assert first == again
    assert json.loads(first)["species"] != json.loads(other)["species"]


def test_chosen_species_get_all_windows_between_them(call: Call, place: Place, tmp_path: Path) -> None:
    folder = drawn(call, place, tmp_path / "audit", 40, "--species", 2, "--species", 0)
    assert [(sample.species, len(sample.drawn)) for sample in read(folder).design.species] == [(0, 20), (2, 20)]
    answer(folder, expert)
    assert [row.species for row in audited(folder).rows] == ["s0", "s2", "all"]


def test_the_table_and_its_json_tell_the_same(call: Call, place: Place, tmp_path: Path) -> None:
    folder = drawn(call, place, tmp_path / "audit", 60, "--species", 1)
    answer(folder, expert)
    code, table, err = call("audited", folder)
    assert (code, err) == (0, "")
    told: dict[str, Any] = json.loads(call("audited", folder, "--json")[1])
    (row,) = told["rows"]
    recall = row["quality"]["recall"]
    assert f"{recall['value']:.3f} [{recall['low']:.3f}, {recall['high']:.3f}]" in table
    assert "for these recordings only" in table
    assert "60/60" in table


def test_whoever_stops_early_has_a_smaller_draw_and_is_told(call: Call, place: Place, tmp_path: Path) -> None:
    folder = drawn(call, place, tmp_path / "audit", 180)
    answer(folder, expert, until=40)
    told = audited(folder)
    assert [(row.judged, row.unanswered) for row in told.rows] == [(40, 20)] * 3 + [(120, 60)]
    assert told.warnings[0] == "s0: 20 of 60 windows are not judged yet; the others stand for all"
    assert not any("skipped" in line for line in told.warnings)
    answer(folder, lambda *_: "n")  # the rest
    assert not any("not judged" in line for line in audited(folder).warnings)


def test_a_recall_of_one_is_not_left_to_stand_alone(call: Call, place: Place, tmp_path: Path) -> None:
    folder = drawn(call, place, tmp_path / "audit", 30, "--species", 0)
    answer(folder, expert)
    told = audited(folder)
    (row,) = told.rows
    assert row.quality.recall.value == 1.0
    assert row.quality.recall.low < 0.9
    (said,) = told.warnings
    assert said.startswith("s0: no missed call was drawn")
    assert audited(folder, 0.0).warnings == ()  # where all windows are above nothing can be missed


def test_whoever_skips_windows_is_warned(call: Call, place: Place, tmp_path: Path) -> None:
    folder = drawn(call, place, tmp_path / "audit", 60)
    answer(folder, expert)
    track = folder / "s1.txt"
    track.write_text(re.sub(r"\t3 [yn]", "\t3 ?", track.read_text()))
    assert next(line for line in audited(folder).warnings if "skipped" in line).startswith("s1: windows were skipped")


def test_a_stratum_without_an_answer_leaves_recall_unknown_and_says_so(
    call: Call, place: Place, tmp_path: Path
) -> None:
    folder = drawn(call, place, tmp_path / "audit", 30, "--species", 0)
    far = {(one.recording_id, one.start_s) for one in read(folder).design.species[0].drawn if one.stratum == "far"}
    answer(folder, lambda species, name, start_s: "u" if (name, start_s) in far else expert(species, name, start_s))
    told = audited(folder)
    (row,) = told.rows
    assert row.quality.precision.value is not None
    assert row.quality.recall.value is None
    assert row.unsure == len(far)
    assert any("stratum far" in line and "recall is not known" in line for line in told.warnings)


def test_unsure_answers_are_left_out_and_bounded(call: Call, place: Place, tmp_path: Path) -> None:
    folder = drawn(call, place, tmp_path / "audit", 3 * WINDOWS)
    hard = {f"test{k:03d}" for k in range(0, TEST_RECORDINGS, 5)}
    answer(folder, lambda species, name, start_s: "u" if name in hard else expert(species, name, start_s))
    told: Told = audited(folder)
    truth = census(folder, place, 0.5)
    for row in told.rows[:3]:
        assert row.unsure == 6 * len(hard)
        assert row.if_unsure is not None
        bounds = [
            (row.if_unsure.worst.precision, row.quality.precision, row.if_unsure.best.precision),
            (row.if_unsure.worst.recall, row.quality.recall, row.if_unsure.best.recall),
        ]
        for (worst, middle, best), value in zip(bounds, truth[row.species], strict=True):
            assert worst.value is not None
            assert middle.value is not None
            assert best.value is not None
            assert worst.value <= value <= best.value
            assert worst.value <= middle.value <= best.value
    assert "s0: 48 unsure, left out; if all of them went against the model, or for it: precision" in str(told)


def test_a_threshold_that_no_window_passes_has_no_precision(call: Call, place: Place, tmp_path: Path) -> None:
    folder = drawn(call, place, tmp_path / "audit", 60, "--threshold", 1)
    answer(folder, expert)
    told = audited(folder)
    for row in told.rows:
        assert (row.above, row.quality.precision.value) == (0, None)
        assert row.quality.recall.value in (0.0, None)  # None: no call was drawn
    assert told.warnings[0].startswith("s0: no window scores above the threshold")
    assert audited(folder, 0.0).rows[0].quality.recall.value == 1.0


def test_a_model_that_was_trained_on_other_data_is_said(
    call: Call, place: Place, tmp_path: Path, tiny_folder: Path
) -> None:
    code, _out, err = call("audit", place.model, "--data", tiny_folder, "--to", tmp_path / "a", "--windows", 30)
    assert code == 0
    assert "make sure that none of its training recordings is a test recording here" in err


def refused(call: Call, *words: object) -> str:
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    return err


def test_what_cannot_be_drawn_is_refused_and_leaves_nothing(call: Call, place: Place, tmp_path: Path) -> None:
    to = tmp_path / "audit"
    asked = ("audit", place.model, "--data", place.data, "--to", to, "--windows")
    assert "--windows 17: 3 species need 6 windows each, 18 in all" in refused(call, *asked, 17)
    assert "--species 9: a species of the model must be named" in refused(call, *asked, 30, "--species", 9)
    assert "--threshold" in refused(call, *asked, 30, "--threshold", 2)
    assert "not a model folder" in refused(call, "audit", tmp_path, *asked[2:], 30)
    other = tmp_path / "other"
    write_folder(other)
    sample = other / "sample_submission.csv"
    sample.write_text(sample.read_text().replace("s0,s1,s2", "s2,s1,s0"))
    assert "it knows the species [0, 1, 2]" in refused(
        call, "audit", place.model, "--data", other, "--to", to, "--windows", 30
    )
    assert not to.exists()
    to.mkdir()
    assert "exists already" in refused(call, *asked, 30)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit", "other"]


def test_a_broken_recording_is_named_and_the_others_are_drawn_from(
    call: Call, place: Place, tmp_path: Path, tiny_folder: Path
) -> None:
    cut, torn = (tiny_folder / "test" / f"test00{k}.flac" for k in (2, 3))
    cut.write_bytes(cut.read_bytes()[:-2000])  # its end is missing: seen from its header
    content = torn.read_bytes()
    torn.write_bytes(content[: len(content) // 2] + bytes(400) + content[len(content) // 2 + 400 :])
    to = tmp_path / "audit"
    code, out, err = call("audit", place.model, "--data", tiny_folder, "--to", to, "--windows", 36)
    assert (code, out) == (1, "")
    assert "test002.flac" in err
    assert "test003.flac" in err
    assert "so it cannot be told whether" in err
    assert "was trained on other data" not in err
    assert f"2 of 4 recordings could not be heard and were left out; {to} is drawn from the others" in err
    told = read(to)
    assert {one.recording_id for sample in told.design.species for one in sample.drawn} == {"test000", "test001"}
    assert [len(sample.drawn) for sample in told.design.species] == [12, 12, 12]  # every window of two recordings
    answer(to, expert)
    assert call("audited", to)[0] == 0


def test_where_no_recording_can_be_heard_nothing_is_left(
    call: Call, place: Place, tmp_path: Path, tiny_folder: Path
) -> None:
    for keep in (0, 100):  # no sound at all; broken behind the header
        for path in (tiny_folder / "test").iterdir():
            path.write_bytes(path.read_bytes()[:keep])
        code, out, err = call("audit", place.model, "--data", tiny_folder, "--to", tmp_path / "a", "--windows", 30)
        assert (code, out) == (1, "")
        assert "no recording could be heard; the first: test/test000.flac" in err
        assert [one.name for one in tmp_path.iterdir()] == ["tiny"]


@dataclass
class Thief(Display):
    """Takes the recordings away once they have been heard, before the drawn windows are written."""

    data: Path = Path()

    def at(self, done: int, total: int | None = None) -> None:
        super().at(done, total)
        if done == total:
            for path in (self.data / "test").iterdir():
                path.unlink()


def test_an_audit_that_fails_while_it_is_written_leaves_nothing(
    place: Place, tmp_path: Path, tiny_folder: Path
) -> None:
    with pytest.raises(InputError, match=r"test00\d.flac: must be readable"):
        audit(place.model, tiny_folder, tmp_path / "a", Asked(30), Thief(data=tiny_folder))
    assert [one.name for one in tmp_path.iterdir()] == ["tiny"]


def test_a_folder_that_cannot_be_read_back_is_refused(call: Call, place: Place, tmp_path: Path) -> None:
    folder = drawn(call, place, tmp_path / "audit", 30)
    assert "at least one window must be judged" in refused(call, "audited", folder)
    answer(folder, expert)
    assert call("audited", folder)[0] == 0
    assert "not an audit's folder" in refused(call, "audited", tmp_path)
    good = (folder / DESIGN).read_text()
    for text, said in [
        (good.replace('"format": 1', '"format": 2'), "reads audits of format 1, but got 2"),
        (good.replace('"seed": 0', '"seed": "x"'), "`seed`"),
        (good[:-20], "must be JSON, but is none from line"),
    ]:
        (folder / DESIGN).write_text(text)
        assert said in refused(call, "audited", folder)
    (folder / DESIGN).write_text(good)
    track = (folder / "s1.txt").read_text()
    (folder / "s1.txt").write_text(track.replace("\t4 ", "\t4 x"))
    assert f"{folder / 's1.txt'}, line 4" in refused(call, "audited", folder)
    (folder / "s1.txt").write_text(track)
    windows = (folder / "windows.npz").read_bytes()
    (folder / "windows.npz").write_bytes(windows[:-1] + b"x")
    assert "its content is not what was written" in refused(call, "audited", folder)
    (folder / "windows.npz").unlink()
    assert "windows.npz: missing" in refused(call, "audited", folder)
