"""A tiny made-up forest, looked at from outside: its bytes, its layout, its labels against its truth."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.stats import rankdata

from rfcx_model.errors import InputError
from rfcx_model.field_recording import TrueCall, write_flac
from rfcx_model.forest import world_of
from rfcx_model.listing import list_hits
from rfcx_model.species_facts import TEMPLATES, within
from rfcx_model.synthetic import Forest, write
from rfcx_model.template_matching import Hit

TINY = Forest(train_recordings=5, test_recordings=2, duration_s=12.0, sample_rate_hz=16_000, species=3, sites=3)
SMALL = Forest(
    train_recordings=44, test_recordings=6, duration_s=16.0, sample_rate_hz=16_000, species=8, sites=12, seed=3
)


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forests") / "small"
    write(SMALL, folder)
    return folder


def rows(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name, dtype={"recording_id": str})


def truth(folder: Path, name: str) -> pd.DataFrame:
    return rows(folder.with_name(folder.name + "-truth"), name)


def digest(folder: Path) -> dict[str, str]:
    truth_folder = folder.with_name(folder.name + "-truth")
    files = sorted(path for top in (folder, truth_folder) for path in top.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder.parent)).replace(folder.name, "F", 1): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def is_true(row: dict[str, Any], calls: list[dict[str, Any]]) -> bool:
    """Whether an audible call of that species and songtype shares half of the shorter one's time."""
    for call in calls:
        same = all(call[key] == row[key] for key in ("recording_id", "species_id", "songtype_id"))
        shared = min(call["t_max"], row["t_max"]) - max(call["t_min"], row["t_min"])
        shorter = min(call["t_max"] - call["t_min"], row["t_max"] - row["t_min"])
        if same and shared >= 0.5 * shorter - 1e-3:
            return True
    return False


def boxes(folder: Path) -> pd.DataFrame:
    """All rows with two columns more: `confirmed` by the expert, and `true`."""
    tables = [
        rows(folder, f"train_{name}.csv").assign(confirmed=confirmed)
        for name, confirmed in (("tp", True), ("fp", False))
    ]
    table = pd.concat(tables, ignore_index=True)
    calls = records(truth(folder, "all_calls.csv").query("snr_db >= -3"))
    return table.assign(true=[is_true(row, calls) for row in records(table)])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        write(Forest(**{**TINY.__dict__, "seed": seed}), tmp_path / name)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert digest(tmp_path / "one")["F/train_tp.csv"] != digest(tmp_path / "three")["F/train_tp.csv"]


@pytest.mark.slow
def test_two_workers_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    write(TINY, tmp_path / "one")
    write(TINY, tmp_path / "two", workers=2)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


def test_the_folder_has_the_competitions_layout(forest: Path) -> None:
    assert sorted(path.name for path in forest.iterdir()) == [
        "recordings.csv",
        "sample_submission.csv",
        "test",
        "train",
        "train_fp.csv",
        "train_tp.csv",
    ]
    train = {path.stem for path in (forest / "train").iterdir()}
    test = {path.stem for path in (forest / "test").iterdir()}
    assert (len(train), len(test)) == (SMALL.train_recordings, SMALL.test_recordings)
    assert all(re.fullmatch(r"[0-9a-f]{9}", name) for name in train | test)
    assert not train & test
    assert min(train) < min(test) < max(test) < max(train)
    submission = rows(forest, "sample_submission.csv")
    assert list(submission.columns) == ["recording_id", *(f"s{species}" for species in range(SMALL.species))]
    assert set(submission.recording_id) == test
    for name in ("train_tp.csv", "train_fp.csv"):
        table = rows(forest, name)
        assert ",".join(table.columns) == "recording_id,species_id,songtype_id,t_min,f_min,t_max,f_max"
        assert set(table.recording_id) <= train


def test_audio_is_mono_16_bit_flac_of_the_asked_rate_and_length(forest: Path) -> None:
    for path in (forest / "train").iterdir():
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.channels) == ("FLAC", "PCM_16", 1)
        assert (info.samplerate, info.frames) == (SMALL.sample_rate_hz, SMALL.sample_rate_hz * SMALL.duration_s)


def test_every_box_lies_inside_its_recording_and_is_a_template_of_its_species(forest: Path) -> None:
    table = boxes(forest)
    assert (table.t_min >= 0).all()
    assert (table.t_max <= SMALL.duration_s).all()
    known = {
        (facts.species_id, facts.songtype_id, round(low), round(high), round(facts.duration_s, 2))
        for facts in TEMPLATES
        for low, high in [within(facts.f_min_hz, facts.f_max_hz, SMALL.sample_rate_hz)]
    }
    seen = {
        (
            row["species_id"],
            row["songtype_id"],
            round(row["f_min"]),
            round(row["f_max"]),
            round(row["t_max"] - row["t_min"], 2),
        )
        for row in records(table)
    }
    assert seen <= known
    assert table.f_max.max() < SMALL.sample_rate_hz / 2


def test_bands_above_half_the_rate_are_scaled_down_as_a_whole() -> None:
    assert within(1000.0, 2000.0, 8_000) == (1000.0, 2000.0)
    low, high = within(10_687.5, 13_687.5, 24_000)
    assert high == pytest.approx(11_520.0)
    assert low / high == pytest.approx(10_687.5 / 13_687.5)


def test_caps_hold_for_each_species_and_songtype(tmp_path: Path) -> None:
    write(Forest(**{**TINY.__dict__, "tp_per_template": 1, "fp_per_template": 2}), tmp_path / "capped")
    for name, cap in (("train_tp.csv", 1), ("train_fp.csv", 2)):
        counts = rows(tmp_path / "capped", name).groupby(["species_id", "songtype_id"]).size()
        assert 0 < counts.max() <= cap


def kept_places(forest: Forest) -> dict[bool, list[float]]:
    """Where the kept rows of species 1 stand (0 best .. 1 worst) among 100 true and 100 false hits of all scores."""
    template, length_s = 2, TEMPLATES[2].duration_s
    hits, calls = {}, []
    for number in range(200):
        name, start_s = f"{number:03d}", 4.0
        hits[name] = [Hit(template, start_s, length_s, score=1 - number / 200)]
        if number % 2:
            call = TrueCall(name, 1, 1, start_s, 4000.0, start_s + length_s, 5000.0, 20.0, "one", template, start_s)
            calls.append(call)
    rows = list_hits(forest, hits, calls, np.random.default_rng(0), np.random.default_rng(1))
    return {kind: [int(row.recording_id) / 200 for row in rows if row.confirmed is kind] for kind in (True, False)}


def test_what_is_kept_follows_the_score_as_far_as_the_forest_says() -> None:
    exact = Forest(expert_error=0.0, tp_per_template=20, fp_per_template=20)
    best = kept_places(exact)
    assert max(best[True]) < 0.2
    assert max(best[False]) < 0.2
    any_tp = kept_places(replace(exact, tp_by_score=0.0))
    assert 0.35 < np.mean(any_tp[True]) < 0.65
    assert any_tp[False] == best[False]
    any_fp = kept_places(replace(exact, fp_by_score=0.0))
    assert any_fp[True] == best[True]
    assert 0.35 < np.mean(any_fp[False]) < 0.65
    half = kept_places(replace(exact, tp_by_score=0.5, fp_by_score=0.5))
    for kind in (True, False):
        assert len(half[kind]) == 20
        assert np.mean(best[kind]) + 0.05 < np.mean(half[kind]) < 0.35


def test_density_and_imbalance_say_how_many_species_a_recording_holds_and_how_uneven_they_are() -> None:
    def counts(density: float, imbalance: float) -> NDArray[Any]:
        forest = Forest(train_recordings=300, test_recordings=4, species=12, density=density, imbalance=imbalance)
        present = [[voice in visit.present for voice in range(12)] for visit in world_of(forest).visits[:300]]
        found: NDArray[Any] = np.array(present).sum(axis=0)
        return found

    usual, sparse, dense = counts(1.0, 1.0), counts(0.5, 1.0), counts(2.0, 1.0)
    assert 1.4 * sparse.sum() < usual.sum() < dense.sum() / 1.4
    even, uneven = counts(1.0, 0.0), counts(1.0, 2.0)
    assert even.max() / np.median(even) < usual.max() / np.median(usual) < uneven.max() / np.median(uneven)


def test_the_expert_is_right_but_for_a_small_part(forest: Path) -> None:
    table = boxes(forest)
    assert len(table.query("confirmed")) >= 30
    assert (table.true != table.confirmed).mean() < 0.05


def test_an_expert_who_never_errs_confirms_true_calls_only(tmp_path: Path) -> None:
    write(Forest(**{**TINY.__dict__, "expert_error": 0.0}), tmp_path / "exact")
    table = boxes(tmp_path / "exact")
    assert (table.true == table.confirmed).all()
    assert table.confirmed.nunique() == 2


def test_most_calls_are_not_listed_and_listed_ones_are_the_clearer_ones(forest: Path) -> None:
    calls = truth(forest, "all_calls.csv").query("split == 'train'")
    assert 0.05 < calls.listed.mean() < 0.4
    per_species = calls.pivot_table(values="snr_db", index="species_id", columns="listed")
    assert (per_species[1] - per_species[0]).mean() > 1.0


def test_no_test_call_is_listed(forest: Path) -> None:
    assert truth(forest, "all_calls.csv").query("split == 'test'").listed.sum() == 0


def test_test_recordings_come_from_sites_that_train_has_not_seen(forest: Path) -> None:
    visited = truth(forest, "all_recordings.csv").groupby("split").site.unique()
    assert not set(visited["train"]) & set(visited["test"])
    assert set(rows(forest, "recordings.csv").site) == set(visited["train"])


def test_the_truth_of_a_recording_is_the_species_that_call_audibly_in_it(forest: Path) -> None:
    calls = truth(forest, "all_calls.csv").query("snr_db >= -3")
    for split in ("train", "test"):
        table = records(truth(forest, f"{split}_truth.csv"))
        stated = {(row["recording_id"], i) for row in table for i in range(SMALL.species) if row[f"s{i}"]}
        called = calls[calls.split == split]
        assert stated == set(zip(called.recording_id, called.species_id, strict=True))


def test_the_world_is_imbalanced_and_recordings_hold_several_species(forest: Path) -> None:
    table = truth(forest, "train_truth.csv").set_index("recording_id")
    assert 1.0 < table.sum(axis=1).mean() < 3.0
    assert table.sum(axis=1).max() <= 8
    assert table.sum().idxmax() == "s3"
    assert table.sum().max() > 2 * table.sum().median()


def test_every_species_sings_in_several_voices(forest: Path) -> None:
    calls = truth(forest, "all_calls.csv")
    assert (calls.groupby("species_id").individual.nunique() >= 2).all()
    heard = calls.merge(truth(forest, "all_recordings.csv")[["recording_id", "site"]])
    assert heard.groupby(["site", "species_id"]).individual.nunique().max() >= 2


def properties_and_labels(folder: Path) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """Each property of the files, (recording,), and all that is labelled or true, (label, recording)."""
    names = sorted(path.stem for path in (folder / "train").iterdir())
    files = [folder / "train" / f"{name}.flac" for name in names]
    audio = [soundfile.read(file)[0] for file in files]
    properties = {
        "name": np.array([int(name, 16) for name in names]),
        "written": np.array([file.stat().st_mtime_ns for file in files]),
        "loudness": np.array([np.sqrt(np.mean(samples**2)) for samples in audio]),
        "peak": np.array([np.abs(samples).max() for samples in audio]),
        "size": np.array([file.stat().st_size for file in files]),
    }
    species = truth(folder, "train_truth.csv").set_index("recording_id").loc[names]
    labels = {name: species[name].to_numpy() for name in species if 5 <= species[name].sum() <= len(names) - 5}
    labels["all species"] = species.sum(axis=1).to_numpy()
    for name in ("train_tp.csv", "train_fp.csv"):
        counts = rows(folder, name).groupby("recording_id").size()
        labels[name] = counts.reindex(names, fill_value=0).to_numpy()
    return properties, np.stack(list(labels.values()))


def standard_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    ranks = rankdata(values, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    standard: NDArray[np.float64] = ranks / np.sqrt(np.sum(ranks**2, axis=-1, keepdims=True))
    return standard


def assert_near_chance(folder: Path) -> None:
    """Spearman's rho with all labels, its largest and its mean, against 2,000 shuffles of the recordings."""
    properties, labels = properties_and_labels(folder)
    rng, ranks = np.random.default_rng(0), standard_ranks(labels)
    for what, values in properties.items():
        orders = [np.arange(len(values)), *(rng.permutation(len(values)) for _ in range(2000))]
        rho = np.abs(standard_ranks(values)[np.stack(orders)] @ ranks.T)
        for statistic in (rho.max(axis=1), rho.mean(axis=1)):
            assert np.mean(statistic[1:] >= statistic[0]) > 0.005, what


def test_no_file_property_tells_who_is_in_a_recording(forest: Path) -> None:
    assert_near_chance(forest)


@pytest.mark.slow
def test_no_file_property_tells_who_is_in_one_of_many_recordings(tmp_path: Path) -> None:
    many = Forest(train_recordings=240, test_recordings=1, duration_s=12.0, sample_rate_hz=16_000, species=8, seed=1)
    write(many, tmp_path / "many")
    assert_near_chance(tmp_path / "many")


def test_loudness_is_drawn_and_does_not_depend_on_what_sounds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    still = rng.standard_normal(32_000, dtype=np.float32)
    busy = still.copy()
    busy[8_000:16_000] += 30 * np.sin(np.arange(8_000, dtype=np.float32))
    loudness_db = {}
    for name, heard in (("still", still), ("busy", busy)):
        for seed in range(8):
            path = tmp_path / f"{name}{seed}.flac"
            write_flac(path, heard, 16_000, np.random.default_rng(seed))
            loudness_db[name, seed] = 10 * np.log10(np.mean(soundfile.read(path)[0] ** 2))
    levels = [loudness_db["still", seed] for seed in range(8)]
    assert levels == pytest.approx([loudness_db["busy", seed] for seed in range(8)], abs=0.1)
    assert np.std(levels) > 3.0


def test_an_existing_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "here-truth").mkdir()
    with pytest.raises(InputError, match="here-truth: a made-up forest needs a new folder"):
        write(TINY, tmp_path / "here")
    assert [path.name for path in tmp_path.iterdir()] == ["here-truth"]


def test_a_missing_parent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Make it first"):
        write(TINY, tmp_path / "nowhere" / "forest")
    assert not list(tmp_path.iterdir())


def test_a_forest_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(TINY, tmp_path / "forest", progress=stop)
    assert not list(tmp_path.iterdir())


def test_progress_counts_every_step(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write(TINY, tmp_path / "forest", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(step, 12) for step in range(1, 13)]
    assert json.loads((tmp_path / "forest-truth" / "forest.json").read_text())["species"] == 3


@pytest.mark.parametrize(
    ("name", "value"), [("species", 25), ("duration_s", 3.0), ("difficulty", 1.5), ("sites", 1), ("tp_by_score", -0.1)]
)
def test_options_outside_their_limits_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} <= .* must hold, but got {name}={value}"):
        Forest(**{name: value})  # type: ignore[arg-type]
