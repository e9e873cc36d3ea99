"""Whatever is done to the bytes of a file, it is read or refused in one message; nothing else comes out of a door."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bad_inputs.models import header, tensor
from bad_inputs.world import write_world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from untrained_model import trust

from rfcx_model import spectrogram_cache
from rfcx_model.errors import InputError, printable
from rfcx_model.recordings import faults
from study import audit_folder, bundle, judge, matched, model_folder, report, scored, space, truth_table
from study.call_tables import harmless
from study.declaration import Candidate, Declaration, declaration
from study.events import LedgerError
from study.looks import read_looks
from study.page import HTML, Page, render
from study.restored import restored
from study.section import Exhibit, Section
from study.species_precision import species_precision
from study.store import Store
from study.study_json import read_study
from study.tables import Table
from study.trials import read_trials

ROOT = Path(__file__).parents[1]
EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
CACHE_REFUSED = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)  # it is made again
LOOKED = '{"v": 1, "first": 1, "declared": 5, "seen": 2, "alpha": 0.01, "level": 0.02}\n'


@dataclass(frozen=True)
class Door:
    """A file of the sound world, and what reads it; `refused` is what may come out instead of an answer."""

    file: str
    read: Callable[[Path], object]
    refused: tuple[type[Exception], ...] = (InputError,)


DOORS = {
    "space file": Door("space.toml", lambda world: space.load(world / "space.toml")),
    "train_tp.csv": Door("data/train_tp.csv", lambda world: faults(world / "data"), ()),
    "sample_submission.csv": Door("data/sample_submission.csv", lambda world: faults(world / "data"), ()),
    "recordings.csv": Door("data/recordings.csv", lambda world: faults(world / "data"), ()),
    "sound": Door("data/train/train000.flac", lambda world: faults(world / "data"), ()),
    "ledger": Door("study/trials.jsonl", lambda world: read_trials(world / "study/trials.jsonl"), (LedgerError,)),
    "ledger, told": Door("study/trials.jsonl", lambda world: report.facts(world / "study"), (LedgerError,)),
    "study.json, told": Door("study/study.json", lambda world: report.facts(world / "study")),
    "study.json": Door("study/study.json", lambda world: restored(world / "study")),
    "listed.npz": Door("study/listed.npz", lambda world: scored.read_ruler(world / "study")),
    "listed.npz, told": Door("judged/listed.npz", lambda world: by_species(world), ()),
    "scores, told": Door("judged/trials/0000-made/scores.npz", lambda world: by_species(world), ()),
    "declared.json, told": Door("study/confirm.json", lambda world: repeats(world)),
    "looks.jsonl": Door("study/looks.jsonl", lambda world: read_looks(world / "study")),
    "declared.json": Door("study/confirm.json", lambda world: declaration(world / "study")),
    "truth.csv of a study": Door("study/truth.csv", lambda world: truth_table.read(world / "study")),
    "bundle": Door("bundle/config.json", lambda world: bundle.load_bundle(world / "bundle")),
    "model": Door("model/config.json", lambda world: model_folder.load_model(world / "model")),
    "model's species": Door("model/species.csv", lambda world: trusted(world, "species.csv")),
    "model's weights": Door("model/fold0.safetensors", lambda world: trusted(world, "fold0.safetensors")),
    "audit.json": Door("audit/audit.json", lambda world: audit_folder.read(world / "audit")),
    "label track": Door("audit/s0.txt", lambda world: audit_folder.read(world / "audit")),
    "truth": Door("truth.csv", lambda world: judge.read_truth(world / "truth.csv")),
    "submission": Door("submission.csv", lambda world: judge.read_table(world / "submission.csv")),
    "stage's meta.json": Door("stage/meta.json", lambda world: stage(world), ()),
    "stage's weights": Door("stage/epoch-0001.safetensors", lambda world: stage(world), ()),
    "cache's meta.json": Door("cache/meta.json", lambda world: cache(world), CACHE_REFUSED),
    "cache's statistics": Door("cache/statistics.npy", lambda world: cache(world), CACHE_REFUSED),
    "cache's cells": Door("cache/cells.npy", lambda world: cache(world), CACHE_REFUSED),
}


def trusted(world: Path, name: str) -> object:
    """The model, whoever has spoilt the file having written down its hash anew."""
    trust(world / "model", name)
    return model_folder.load_model(world / "model")


def by_species(world: Path) -> object:
    """What the report says of each species."""
    (trial,) = read_trials(world / "judged" / "trials.jsonl")
    return species_precision(world / "judged", trial, trial)


def repeats(world: Path) -> object:
    """What `compare` reads."""
    folder = world / "study"
    return matched.replicated(folder, read_study(folder), read_trials(folder / "trials.jsonl"))


def stage(world: Path) -> object:
    """The stored stage, by a store that was opened by the code that made it; a damaged one is removed."""
    meta = world / "judged" / "stages" / "stage1-x"
    shutil.rmtree(meta, ignore_errors=True)
    shutil.copytree(world / "stage", meta)
    return Store(meta.parent, maker_of(world), lambda _: None).load(meta.name)


def maker_of(world: Path) -> dict[str, str]:
    """What made the world's stage."""
    made: dict[str, str] = json.loads((world / "maker.json").read_text(encoding="utf-8"))
    return made


def cache(world: Path) -> object:
    """The cache, every cell of it read."""
    opened = spectrogram_cache.open_cache(world / "cache")
    return opened.cells.sum(), opened.frames()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sound world with plain names for what is named by hashes, and files that only a confirmation leaves."""
    folder = write_world(tmp_path_factory.mktemp("properties") / "world")
    for hashed, plain in (("cache/logmel-*", "kept"), ("judged/stages/stage1-*", "stage")):
        (found,) = folder.glob(hashed)
        shutil.copytree(found, folder / plain)
    shutil.rmtree(folder / "cache")
    (folder / "kept").rename(folder / "cache")
    maker = json.loads((folder / "stage" / "meta.json").read_text(encoding="utf-8"))["maker"]
    (folder / "maker.json").write_text(json.dumps(maker), encoding="utf-8")
    sites = "".join(f"train{k:03d},site{k % 3}\n" for k in range(6))
    (folder / "data" / "recordings.csv").write_text(f"recording_id,site\n{sites}", encoding="utf-8")
    (folder / "study" / "looks.jsonl").write_text(LOOKED, encoding="utf-8")
    trials = read_trials(folder / "study" / "trials.jsonl")
    arms = [Candidate(f"trial {one.number}", None, dict(one.config), one.number, one.number == 0) for one in trials]
    declared = Declaration(None, (1, 2), tuple(arms))
    (folder / "study" / "confirm.json").write_text(json.dumps({"v": 1, **asdict(declared)}), encoding="utf-8")
    (folder / "study" / "truth.csv").write_text("trial,test_lwlrap,train_truth_lwlrap\n0,0.5,\n", encoding="utf-8")
    return folder


@st.composite
def spoilt(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes changed at a few places, cut, or doubled."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.integers(0, 4))
        content[place : place + length] = draw(st.binary(max_size=4) | st.sampled_from(TOKENS))
    kept = len(content) if draw(st.booleans()) else draw(st.integers(0, len(content)))
    return bytes(content[:kept])


MARKUP = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b>", "`<b>`", "</style>"]
TOKENS = [b"\0", b"\n", b'"', b",", b"{", b"]", b"-1", b"1e999", b"NaN", b"null", b"[[", b"\xff\xfe", b"../", b"9" * 30]


@pytest.mark.parametrize("name", DOORS)
@EXAMPLES
@given(data=st.data())
def test_a_spoilt_file_is_read_or_refused_in_one_message(name: str, world: Path, data: st.DataObject) -> None:
    door = DOORS[name]
    path = world / door.file
    whole, config = path.read_bytes(), (world / "model" / "config.json").read_bytes()
    said = "answered"
    try:
        path.write_bytes(data.draw(spoilt(whole)))
        door.read(world)
    except door.refused as error:
        said = str(error)
    finally:
        (world / "model" / "config.json").write_bytes(config)
        path.write_bytes(whole)
    assert door.refused == CACHE_REFUSED or 0 < len(said) < 2000


def test_weights_that_claim_terabytes_take_no_memory(world: Path, tmp_path: Path) -> None:
    for claim in (header(2**62), header(2**40), tensor(2**40), tensor(2**58)):
        shutil.copytree(world / "model", tmp_path / "model")
        claim(tmp_path)
        trust(tmp_path / "model", "fold0.safetensors")
        tracemalloc.start()
        with pytest.raises(InputError, match="must be whole safetensors"):
            model_folder.load_model(tmp_path / "model")
        assert tracemalloc.get_traced_memory()[1] < 64e6
        tracemalloc.stop()
        shutil.rmtree(tmp_path / "model")


@pytest.mark.parametrize("name", ["fold0.safetensors", "species.csv", "frontend.safetensors"])
def test_a_link_out_of_a_models_folder_is_not_taken_for_its_file(world: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(world / "model", tmp_path / "model")
    (tmp_path / "secret").write_text("a secret", encoding="utf-8")
    (tmp_path / "model" / name).unlink()
    (tmp_path / "model" / name).symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="its content is not what was written") as told:
        model_folder.load_model(tmp_path / "model")
    assert "a secret" not in str(told.value)


def test_a_link_in_a_bundles_place_tells_nothing_of_what_it_leads_to(world: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a secret", encoding="utf-8")
    (tmp_path / "config.json").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="must be JSON") as told:
        bundle.load_bundle(tmp_path)
    assert "a secret" not in str(told.value)


@given(st.text(st.characters(codec="utf-8")))
def test_no_name_becomes_a_formula_a_second_cell_or_a_second_row(name: str) -> None:
    told = harmless(name)
    assert not told.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert not set(told) & set("\t\r\n")


@EXAMPLES
@given(st.text(st.characters(codec="utf-8")) | st.sampled_from(MARKUP))
def test_no_name_becomes_markup_of_a_page(name: str) -> None:
    assert _tags(name) == _tags("frog")


def _tags(name: str) -> list[str]:
    """The tags of a page that says this name wherever one can stand, but those of code, which backticks ask for."""
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append(tag)  # type: ignore[method-assign]
    table = Table((name, "score"), ((name, name),), 1)
    parser.feed(render(HTML, Page(name, name, name, name), [Section(name, [f"By {name}"], [Exhibit(name, table)])]))
    return [tag for tag in found if tag != "code"]


@given(st.text())
def test_no_text_from_a_file_steers_the_terminal(text: str) -> None:
    assert all(one.isprintable() or one in "\n\t" for one in printable(text))
