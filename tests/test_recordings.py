from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import COLUMNS, Sound, write_folder

from rfcx_model.errors import InputError
from rfcx_model.recordings import Recordings, assign_folds, faults, folds_hash, load, warnings_of

NOISE = 0.1 * np.random.default_rng(1).standard_normal(6 * 8000)


def test_a_sound_folder_loads_in_the_order_that_is_promised(shared_tiny_folder: Path) -> None:
    recordings = load(shared_tiny_folder)
    assert recordings.species == (0, 1, 2)
    assert list(recordings.train.columns) == ["recording_id", "path", "duration_s", "sample_rate_hz", "site"]
    assert recordings.train["recording_id"].is_monotonic_increasing
    assert list(recordings.train.index) == list(range(12))
    assert set(recordings.train["duration_s"]) == {6.0}
    assert set(recordings.train["sample_rate_hz"]) == {8000}
    assert set(recordings.train["site"]) == {""}
    assert list(recordings.test["recording_id"]) == [f"test{k:03d}" for k in range(4)]
    assert recordings.boxes["positive"].tolist() == [True] * 12 + [False] * 12
    first = recordings.boxes.iloc[0]
    assert recordings.train["recording_id"][first["recording"]] == "train000"
    assert (first["t_min"], first["f_min"], first["t_max"], first["f_max"]) == (0.5, 300.0, 1.5, 700.0)
    assert faults(shared_tiny_folder) == []


def test_species_follow_the_columns_of_the_sample_submission(tiny_folder: Path) -> None:
    (tiny_folder / "sample_submission.csv").write_text("recording_id,s7,s2,s0,s1\ntest000,0,0,0,0\n")
    recordings = load(tiny_folder)
    assert recordings.species == (7, 2, 0, 1)
    assert [recordings.species[place] for place in recordings.boxes["species"]] == recordings.boxes[
        "species_id"
    ].tolist()
    assert len(recordings.test) == 1


@pytest.mark.parametrize("extension", ["flac", "wav", "ogg"])
@pytest.mark.parametrize("rate_hz", [8000, 44_100, 192_000])
def test_any_rate_format_and_number_of_channels_is_read(tmp_path: Path, extension: str, rate_hz: int) -> None:
    channels = 2 if rate_hz == 44_100 else 1
    sound = Sound(2, 1, duration_s=5.0, sample_rate_hz=rate_hz, extension=extension, channels=channels)
    recordings = load(write_folder(tmp_path / "tiny", sound))
    assert set(recordings.train["sample_rate_hz"]) == {rate_hz}
    np.testing.assert_allclose(recordings.train["duration_s"], 5.0)


def test_the_37_templates_of_the_competition_are_told_apart_and_joined_up_to_rounding(tiny_folder: Path) -> None:
    bands = [(4781.25, 10406.2, 2.352), (4781.25, 10406.25, 2.352), (5062.5, 11250.0, 3.1093), (562.5, 3187.5, 2.0213)]
    bands += [(562.5, 4406.25, 2.144), (6459.96, 11627.9, 7.9238), (6459.9609, 11627.9297, 7.9239)]
    rows = [f"train000,0,1,{0.1 * k:.4f},{low},{0.1 * k + d:.4f},{high}" for k, (low, high, d) in enumerate(bands)]
    (tiny_folder / "train_tp.csv").write_text("\n".join([COLUMNS, *rows[:2], rows[5]]) + "\n")
    (tiny_folder / "train_fp.csv").write_text("\n".join([COLUMNS, *rows[2:5], *rows[6:]]) + "\n")
    soundfile.write(tiny_folder / "train" / "train000.flac", np.tile(NOISE, 2), 8000)
    template = load(tiny_folder).boxes["template"].tolist()  # file order: 0, 1, 5, 2, 3, 4, 6
    assert template[0] == template[1]
    assert template[2] == template[6]
    assert len(set(template)) == 5


def test_the_same_band_of_two_species_is_two_templates(shared_tiny_folder: Path) -> None:
    boxes = load(shared_tiny_folder).boxes
    assert boxes["template"].nunique() == 3
    assert len(boxes[["template", "species"]].drop_duplicates()) == 3


def edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def cut_in_half(folder: Path) -> None:
    path = folder / "train" / "train003.flac"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def sound(name: str, seconds: float, rate_hz: int = 8000, channels: int = 1) -> Callable[[Path], object]:
    audio = np.zeros((round(seconds * rate_hz), channels))
    return lambda folder: soundfile.write(folder / name, audio, rate_hz)


def three_sites(folder: Path) -> None:
    rows = [f"train{k:03d},site{k % 3}" for k in range(12) if k != 5]
    (folder / "recordings.csv").write_text("\n".join(["recording_id,site", *rows]) + "\n")


FIRST_TP = "train000,0,1,0.5,300.0,1.5,700.0"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing table": (lambda f: (f / "train_fp.csv").unlink(), "train_fp.csv: the file must exist"),
    "missing folder": (lambda f: (f / "test").rename(f / "tset"), "test/: the folder must exist"),
    "missing column": (edit("train_tp.csv", "t_max", "t_end"), "train_tp.csv, row 1: column `t_max` must be there"),
    "repeated column": (edit("train_tp.csv", "t_max", "t_max,t_max"), "train_tp.csv, row 1: columns must differ"),
    "not a csv": (write("train_tp.csv", b"\xff\xfe\x00"), "train_tp.csv: must be UTF-8 text, but byte 0 is not"),
    "empty csv": (
        write("train_tp.csv", b""),
        "train_tp.csv, row 1: column `recording_id` must be there, but got nothing",
    ),
    "no rows": (write("train_tp.csv", (COLUMNS + "\n").encode()), "train_tp.csv: at least one row"),
    "ragged row": (edit("train_tp.csv", FIRST_TP, FIRST_TP + ",1"), "train_tp.csv, row 2: a value for each column"),
    "duplicate row": (
        edit("train_tp.csv", FIRST_TP, f"{FIRST_TP}\n{FIRST_TP}"),
        "row 3: rows must differ, but this rep",
    ),
    "unknown species": (
        edit("train_tp.csv", "train000,0", "train000,9"),
        "row 2: species_id must be a column of sample",
    ),
    "no whole species": (
        edit("train_tp.csv", "train000,0", "train000,0.5"),
        "row 2: species_id must be a whole number",
    ),
    "not a number": (edit("train_tp.csv", "0.5,300.0", "noon,300.0"), "row 2: t_min must be a number, but got `noon`"),
    "not finite": (edit("train_tp.csv", "0.5,300.0", "nan,300.0"), "row 2: t_min must be a number, but got `nan`"),
    "swapped times": (
        edit("train_tp.csv", "0.5,300.0,1.5", "1.5,300.0,0.5"),
        "row 2: t_max > t_min must hold, but got t",
    ),
    "swapped bands": (
        edit("train_tp.csv", "300.0,1.5,700", "900,1.5,700"),
        "row 2: f_max > f_min must hold, but got f_",
    ),
    "negative time": (edit("train_tp.csv", "0.5,300.0", "-0.5,300.0"), "row 2: t_min >= 0 must hold"),
    "negative band": (edit("train_tp.csv", "0.5,300.0", "0.5,-300.0"), "row 2: f_min >= 0 must hold"),
    "beyond the end": (
        edit("train_tp.csv", "300.0,1.5", "300.0,6.5"),
        "row 2: t_max must lie within the recording's 6 s",
    ),
    "row without file": (lambda f: (f / "train" / "train001.flac").unlink(), "row 3: its recording must have a file"),
    "test without file": (
        lambda f: (f / "test" / "test002.flac").unlink(),
        "sample_submission.csv, row 4: its recording",
    ),
    "test id twice": (
        edit("sample_submission.csv", "test001,0.5", "test000,0.1"),
        "sample_submission.csv, row 3: recording",
    ),
    "strange column": (edit("sample_submission.csv", "s1", "frog"), "sample_submission.csv, row 1: columns beside"),
    "species twice": (edit("sample_submission.csv", "s1", "s01,s"), "sample_submission.csv, row 1: columns beside"),
    "no audio": (
        write("train/train000.flac", b""),
        "train/train000.flac: a sound file must hold sound, but it is empty",
    ),
    "broken audio": (write("train/train000.flac", b"not sound at all"), "train/train000.flac: must decode"),
    "cut audio": (cut_in_half, "train/train003.flac: must decode"),
    "too short": (
        sound("train/train000.flac", 4.0),
        "train/train000.flac: a recording must last 5 to 600 s, but got 4.000",
    ),
    "too long": (sound("test/test000.flac", 601.0), "test/test000.flac: a recording must last 5 to 600 s"),
    "too low a rate": (
        sound("train/train000.flac", 6.0, 4000),
        "the sample rate must lie within 8000 to 192000 Hz, but",
    ),
    "too high a rate": (sound("train/train000.wav", 5.0, 200_000), "one file a recording must stand"),
    "three channels": (sound("train/train000.flac", 6.0, 8000, 3), "must be mono or stereo, but got 3 channels"),
    "two files": (sound("train/train000.ogg", 6.0), "got train000.flac and train000.ogg"),
    "site missing": (three_sites, "recordings.csv: every training recording must have a row, but train005"),
    "no site column": (
        write("recordings.csv", b"recording_id,place\ntrain000,a\n"),
        "recordings.csv, row 1: column `site`",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_clear_message(tiny_folder: Path, fault: str) -> None:
    break_it, said = FAULTS[fault]
    before = len(faults(tiny_folder))
    break_it(tiny_folder)
    found = faults(tiny_folder)
    assert before == 0
    assert [line for line in found if said in line], found
    assert all("\n" not in line for line in found)
    with pytest.raises(InputError):
        load(tiny_folder)


def test_one_fault_gives_one_line_and_many_are_counted(tiny_folder: Path) -> None:
    edit("train_tp.csv", "train000,0", "train000,9")(tiny_folder)
    with pytest.raises(InputError) as one:
        load(tiny_folder)
    assert "\n" not in str(one.value)
    for path in (tiny_folder / "train").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError) as many:
        load(tiny_folder)
    lines = str(many.value).splitlines()
    assert "13 faults" in lines[0]
    assert len(lines) == 12
    assert lines[-1] == "... and 3 more"


def test_a_missing_folder_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a folder in the competition's layout"):
        load(tmp_path / "nowhere")


def test_rows_are_counted_as_a_text_editor_shows_them(tiny_folder: Path) -> None:
    edit("train_tp.csv", COLUMNS + "\n", "\ufeff" + COLUMNS + "\n\n")(tiny_folder)
    assert faults(tiny_folder) == []
    edit("train_tp.csv", "train000,0", "train000,9")(tiny_folder)
    assert faults(tiny_folder)[0].startswith("train_tp.csv, row 3:")


def test_the_fingerprint_changes_with_a_table_or_a_sound_and_with_nothing_else(tiny_folder: Path) -> None:
    first = load(tiny_folder).fingerprint
    (tiny_folder / "notes.txt").write_text("x")
    moved = tiny_folder.rename(tiny_folder.with_name("moved"))
    assert load(moved).fingerprint == first
    edit("train_tp.csv", "0.5,300.0", "0.6,300.0")(moved)
    second = load(moved).fingerprint
    soundfile.write(moved / "test" / "test000.flac", NOISE, 8000)
    assert len({first, second, load(moved).fingerprint}) == 3


def test_warnings_name_rare_species_and_unused_files(tiny_folder: Path) -> None:
    soundfile.write(tiny_folder / "train" / "spare.flac", NOISE, 8000)
    edit("train_tp.csv", "300.0,1.5,700.0", "300.0,1.5,4700.0")(tiny_folder)
    recordings = load(tiny_folder)
    found = warnings_of(recordings, 5)
    assert sum("stands in 4 recordings, fewer than the 5 folds" in line for line in found) == 6
    assert any("train/: 1 files stand in no CSV" in line and "spare" in line for line in found)
    assert any("1 boxes reach above half the sample rate" in line for line in found)
    assert not [line for line in warnings_of(recordings, 4) if "folds" in line]


def table_of(present: np.ndarray, sites: list[str]) -> Recordings:
    """Recordings with a box wherever `present` (recording, species x 2) says so; TP species come first."""
    n_species = present.shape[1] // 2
    recording, label = np.nonzero(present)
    boxes = pd.DataFrame({"recording": recording, "species": label % n_species, "positive": label < n_species})
    names = [f"r{k:05d}" for k in range(len(present))]
    train = pd.DataFrame({"recording_id": names, "site": sites or [""] * len(names)})
    return Recordings(Path("made-up"), tuple(range(n_species)), train, boxes, train, "")


def competition_sized(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    present = np.zeros((4727, 48), dtype=bool)
    for species in range(24):
        present[generator.choice(1132, 50, replace=False), species] = True
        present[769 + generator.choice(3958, 300, replace=False), 24 + species] = True
    return present


def test_folds_of_the_competition_are_even_in_every_species() -> None:
    present = competition_sized(0)
    folds = assign_folds(table_of(present, []), 5, seed=3)
    held = np.stack([present[folds == fold].sum(axis=0) for fold in range(5)])
    assert np.ptp(held, axis=0).max() <= 2
    assert np.ptp(np.bincount(folds)) <= 2


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_every_fold_holds_whole_sites_and_no_fold_is_empty(data: st.DataObject) -> None:
    n_folds = data.draw(st.integers(2, 5))
    sites = data.draw(st.lists(st.sampled_from("abcdefgh"), min_size=8, max_size=40).filter(lambda s: len(set(s)) >= 5))
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    recordings = table_of(generator.random((len(sites), 6)) < 0.3, sites)
    folds = assign_folds(recordings, n_folds, seed=0)
    assert set(folds) == set(range(n_folds))
    assert all(len({fold for fold, place in zip(folds, sites, strict=True) if place == site}) == 1 for site in sites)


def test_folds_are_a_function_of_the_seed() -> None:
    recordings = table_of(competition_sized(1)[:300], [])
    first = assign_folds(recordings, 5, seed=1)
    assert (first == assign_folds(recordings, 5, seed=1)).all()
    other = assign_folds(recordings, 5, seed=2)
    assert (first != other).mean() > 0.5
    assert folds_hash(recordings, first) != folds_hash(recordings, other)


def test_fewer_groups_than_folds_are_refused(tmp_path: Path) -> None:
    recordings = load(write_folder(tmp_path / "tiny", Sound(sites=3)))
    assert set(recordings.train["site"]) == {"site0", "site1", "site2"}
    assert set(assign_folds(recordings, 3, seed=0)) == {0, 1, 2}
    with pytest.raises(InputError, match="sites >= folds must hold, but got 3 sites for 4 folds"):
        assign_folds(recordings, 4, seed=0)
    with pytest.raises(InputError, match="at least 2"):
        assign_folds(recordings, 1, seed=0)
    single = replace(recordings, train=recordings.train.assign(site=""))
    with pytest.raises(InputError, match="recordings >= folds"):
        assign_folds(single, 13, seed=0)
