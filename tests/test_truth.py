"""Trials against a known truth: what they are told equals a plain way to it, and what is lost is said."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from made_study import ended, epoch, started, write
from rich.console import Console
from tiny import KNOBS, write_folder

from rfcx_model import network, predict
from rfcx_model.compute import best
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import build, flatten
from rfcx_model.metrics import lwlrap
from rfcx_model.recordings import Recordings, load
from study import truth_table
from study.display import Display
from study.recipe import trial_request
from study.setting import Alone, Setting, workshop
from study.stages import Workshop, trial_epochs
from study.truth import JUDGED_BY, judge_trials
from study.truth_table import TRUTH_CSV, Judged

SEED = 5
LITTLE = KNOBS | {"stage2.epochs": 0, "stage3.epochs": 0}
TRIALS: tuple[dict[str, Any], ...] = ({}, {"stage1.mixup_site": "stage4"})


@dataclass(frozen=True)
class Made:
    """A study of two finished trials and a failed one, with its data, its truth and the workshop of its trials."""

    study: Path
    data: Path
    truth: Path
    recordings: Recordings
    shops: tuple[Workshop, ...]
    scores: tuple[np.ndarray, ...]

    def judge(self, **other: Path) -> list[str]:
        """Judge; returns the lines that were said."""
        said = io.StringIO()
        display = Display(Console(file=said, width=200))
        places = {"study": self.study, "truth": self.truth, "data": self.data, **other}
        judge_trials(places["study"], places["truth"], places["data"], display)
        return said.getvalue().splitlines()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("truth")
    data = write_folder(folder / "data")
    recordings = load(data)
    setting = Setting(recordings, 2, folder / "cache", folder / "study" / "stages", threads=1)
    shops, scores = [], []
    events: list[dict[str, Any]] = []
    for number, params in enumerate(TRIALS):
        h = build({**LITTLE, **params})
        shop = workshop(setting, h, SEED, lease=Alone(), tick=lambda _: None)
        *_, (last, _) = trial_epochs(shop, h, trial_request(h, (0, 1), SEED, "stage1"))
        saved = f"trials/{number:04d}-made/scores.npz"
        (folder / "study" / saved).parent.mkdir(parents=True)
        outputs = last.outputs
        said = [outputs[name] for name in ("recording_scores", "box_scores", "folds")]
        np.savez(folder / "study" / saved, recording_scores=said[0], box_scores=said[1], folds=said[2])
        begin = {**started(number, float(number), params), "config": flatten(h), "seed": SEED}
        end = {**ended(number, number + 0.5, "COMPLETE", 0.5), "scores": saved}
        events += [begin, epoch(number, 1, number + 0.1, {}), end]
        shops.append(shop)
        scores.append(last.outputs["recording_scores"])
    events += [started(2, 9.0, {}), ended(2, 9.5, "FAILED", None, "MemoryError")]
    facts = {
        "name": "little",
        "data": {"fingerprint": recordings.fingerprint},
        "search": {"folds": 2},
        "store": str(setting.store),
        "cache": str(setting.cache),
        "threads": 1,
    }
    write(folder / "study", facts, events)
    write_truth(folder / "data-truth", recordings)
    return Made(folder / "study", data, folder / "data-truth", recordings, tuple(shops), tuple(scores))


@pytest.fixture
def made(built: Made, tmp_path: Path) -> Iterator[Made]:
    """A copy of the study, so that each test may do with it what it likes; the store stays where it was."""
    shutil.copytree(built.study, tmp_path / "study", ignore=shutil.ignore_patterns("stages"))
    shutil.copytree(built.truth, tmp_path / "truth")
    yield Made(tmp_path / "study", built.data, tmp_path / "truth", built.recordings, built.shops, built.scores)
    torch.set_num_threads(1)


def write_truth(folder: Path, recordings: Recordings) -> None:
    """Recording k holds species k % 3; every third one holds the next species too."""
    folder.mkdir()
    for part, ids in (("test", recordings.test["recording_id"]), ("train", recordings.train["recording_id"])):
        rows = [[int(s == k % 3 or (k % 3 == 0 and s == 1)) for s in range(3)] for k in range(len(ids))]
        table(folder / f"{part}_truth.csv", list(ids), rows)


def table(path: Path, ids: list[str], rows: list[list[Any]]) -> None:
    frame = pd.DataFrame(rows, columns=["s0", "s1", "s2"])
    frame.insert(0, "recording_id", ids)
    frame.to_csv(path, index=False)


def truth_of(made: Made, part: str) -> np.ndarray:
    return pd.read_csv(made.truth / f"{part}_truth.csv")[["s0", "s1", "s2"]].to_numpy()


def submitted(made: Made, number: int) -> np.ndarray:
    """What a submission of the trial's fold models holds, by the way that `predict` takes."""
    h, shop = build({**LITTLE, **TRIALS[number]}), made.shops[number]
    stored = shop.store.load(trial_request(h, (0, 1), SEED, "stage1").name(h, shop.partition))
    assert stored is not None
    nets = []
    for fold in (0, 1):
        net = network.build(h.network, 3, seed=0, load_pretrained=False)
        net.load_state_dict(stored.state.weights(fold))
        nets.append(net.eval())
    model = predict.Model(nets, h, made.recordings.species)
    return np.array(list(predict.scores(model, map(Path, made.recordings.test["path"]), best())))


def test_a_trial_is_judged_as_its_submission_and_its_out_of_fold_scores_would_be(made: Made) -> None:
    made.judge()
    judged = truth_table.read(made.study)
    assert list(judged) == [0, 1]  # the failed one is not
    for number in (0, 1):
        expected = lwlrap(truth_of(made, "test"), submitted(made, number))
        assert judged[number].test_lwlrap == pytest.approx(expected, abs=1e-12)
        expected = lwlrap(truth_of(made, "train"), made.scores[number])
        assert judged[number].train_truth_lwlrap == pytest.approx(expected, abs=1e-12)
    assert not np.allclose(submitted(made, 0), submitted(made, 1))


def test_the_order_of_a_truth_s_rows_and_columns_is_of_no_account(made: Made) -> None:
    made.judge()
    before = truth_table.read(made.study)
    for part in ("test", "train"):
        path = made.truth / f"{part}_truth.csv"
        pd.read_csv(path)[["recording_id", "s2", "s0", "s1"]].iloc[::-1].to_csv(path, index=False)
    made.judge()
    assert truth_table.read(made.study) == before


def test_a_truth_of_the_test_recordings_alone_leaves_the_other_column_empty(made: Made) -> None:
    (made.truth / "train_truth.csv").unlink()
    made.judge()
    assert [row.train_truth_lwlrap for row in truth_table.read(made.study).values()] == [None, None]
    assert (made.study / TRUTH_CSV).read_text().splitlines()[1].endswith(",")


def test_a_truth_may_speak_of_some_recordings_and_species_only(made: Made) -> None:
    path = made.truth / "test_truth.csv"
    pd.read_csv(path)[["recording_id", "s0", "s1"]].iloc[:2].to_csv(path, index=False)
    made.judge()
    expected = lwlrap(truth_of_two(made), submitted(made, 0)[:2, :2])
    assert truth_table.read(made.study)[0].test_lwlrap == pytest.approx(expected, abs=1e-12)


def truth_of_two(made: Made) -> np.ndarray:
    return pd.read_csv(made.truth / "test_truth.csv")[["s0", "s1"]].to_numpy()


def test_what_has_been_judged_is_not_judged_again_unless_the_truth_is_another(made: Made) -> None:
    assert any("hearing 4 test recordings" in line for line in made.judge())
    first = (made.study / TRUTH_CSV).read_bytes()
    truth_table.write(made.study, [truth_table.read(made.study)[0]])
    said = made.judge()
    assert [line for line in said if line.startswith("1/1  trial 0001-made: test LWLRAP 0.")]
    assert (made.study / TRUTH_CSV).read_bytes() == first
    assert made.judge() == []
    rows = [[1, 1, 0]] * 4
    table(made.truth / "test_truth.csv", list(made.recordings.test["recording_id"]), rows)
    assert len([line for line in made.judge() if "trial" in line]) == 2
    assert truth_table.read(made.study)[0].test_lwlrap != pytest.approx(float(first.split(b",")[3]))
    assert set(json.loads((made.study / JUDGED_BY).read_text())) == {"truth", "store"}


def test_lost_weights_are_said_and_leave_an_empty_cell(made: Made, tmp_path: Path) -> None:
    facts = json.loads((made.study / "study.json").read_text())
    (made.study / "study.json").write_text(json.dumps({**facts, "store": str(tmp_path / "gone")}))
    said = " ".join(made.judge())
    assert f"trials 0, 1 cannot predict: their weights are not in {tmp_path / 'gone'}" in said
    judged = truth_table.read(made.study)
    assert [row.test_lwlrap for row in judged.values()] == [None, None]
    assert judged[0].train_truth_lwlrap is not None
    assert not (tmp_path / "gone").exists()


def test_scores_that_were_cut_short_are_said_and_leave_an_empty_cell(made: Made) -> None:
    path = made.study / "trials" / "0000-made" / "scores.npz"
    path.write_bytes(path.read_bytes()[:50])
    said = " ".join(made.judge())
    assert f"{path}: damaged" in said
    judged = truth_table.read(made.study)
    assert judged[0].train_truth_lwlrap is None
    assert judged[0].test_lwlrap is not None
    assert judged[1].train_truth_lwlrap is not None


def test_a_trial_of_another_version_is_refused_by_name(made: Made) -> None:
    path = made.study / "trials.jsonl"
    path.write_text(path.read_text().replace('"stage3.focal_gamma"', '"stage3.focal_of_old"'))
    with pytest.raises(
        InputError, match=r"trials\.jsonl, trial 0: `.*focal_of_old` is not known here. .*written by another version"
    ):
        made.judge()


def test_killed_between_the_table_and_its_facts_no_old_row_stays(made: Made) -> None:
    made.judge()
    facts = (made.study / JUDGED_BY).read_text()
    table(made.truth / "test_truth.csv", list(made.recordings.test["recording_id"]), [[1, 1, 0]] * 4)
    made.judge()
    new = (made.study / TRUTH_CSV).read_bytes()
    (made.study / JUDGED_BY).write_text(facts)  # the other truth's
    (made.study / TRUTH_CSV).write_text("trial,test_lwlrap,train_truth_lwlrap\n0,0.123,0.1\n1,0.123,0.1\n")
    made.judge()
    assert (made.study / TRUTH_CSV).read_bytes() == new


def no_test_truth(made: Made) -> None:
    (made.truth / "test_truth.csv").unlink()


def no_column(made: Made) -> None:
    (made.truth / "test_truth.csv").write_text("id,s0\ntest000,1\n")


def all_zero(made: Made) -> None:
    table(made.truth / "test_truth.csv", list(made.recordings.test["recording_id"]), [[0, 0, 0]] * 4)


def a_submission(made: Made) -> None:
    table(made.truth / "test_truth.csv", list(made.recordings.test["recording_id"]), [[0.5, 0.1, 0]] * 4)


def another_test_recording(made: Made) -> None:
    table(made.truth / "test_truth.csv", ["test000", "elsewhere"], [[1, 0, 0]] * 2)


def a_train_recording_less(made: Made) -> None:
    path = made.truth / "train_truth.csv"
    pd.read_csv(path).iloc[1:].to_csv(path, index=False)


def no_finished_trial(made: Made) -> None:
    lines = (made.study / "trials.jsonl").read_text().splitlines(keepends=True)
    (made.study / "trials.jsonl").write_text("".join(line for line in lines if '"ended"' not in line))


def other_data(made: Made) -> None:
    facts = json.loads((made.study / "study.json").read_text())
    (made.study / "study.json").write_text(json.dumps({**facts, "data": {"fingerprint": "ab" * 32}}))


def no_store(made: Made) -> None:
    (made.study / "study.json").write_text(json.dumps({"name": "little"}))


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (no_test_truth, r"truth: it must hold test_truth\.csv"),
        (no_column, r"test_truth\.csv: column `recording_id` must be there"),
        (all_zero, r"test_truth\.csv: at least one species must be present"),
        (a_submission, r"test_truth\.csv: a truth must be 0 or 1, but got 0\.5 for s0 of recording test000"),
        (another_test_recording, r"data: it must speak of all recordings.* lacks recordings elsewhere"),
        (a_train_recording_less, r"train_truth\.csv: it must .* lacks recordings train000"),
        (no_finished_trial, r"study: no trial is COMPLETE"),
        (other_data, r"data: these are other data \(fingerprint .* than the study's \(abababababab\)"),
        (no_store, r"study\.json: search, store, cache or threads are missing"),
    ],
)
def test_what_cannot_be_judged_is_refused_and_nothing_is_written(made: Made, spoil: Any, rule: str) -> None:
    spoil(made)
    with pytest.raises(InputError, match=rule):
        made.judge()
    assert not (made.study / TRUTH_CSV).exists()


def test_the_table_is_read_as_it_was_written_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    rows = [Judged(7, 0.1234567890123456, None), Judged(3, None, 0.5)]
    truth_table.write(tmp_path, rows)
    assert truth_table.read(tmp_path) == {7: rows[0], 3: rows[1]}
    assert (tmp_path / TRUTH_CSV).read_text().splitlines()[0] == "trial,test_lwlrap,train_truth_lwlrap"
    (tmp_path / TRUTH_CSV).write_text("trial,test_lwlrap,train_truth_lwlrap\n0,high,\n")
    with pytest.raises(InputError, match=r"truth\.csv: damaged"):
        truth_table.read(tmp_path)
    assert truth_table.read(tmp_path / "elsewhere") == {}
