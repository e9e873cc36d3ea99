"""The study's own run: the leading trials, the curve of the best score, and the columns of the HParams table."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from rfcx_model.hyperparameters import knobs, words
from study import event_files
from study.best_board import CURVE, LEADERS, RUN, BestBoard, leaders_text
from study.space import Study, load
from study.tensorboard import CONFIRMED, FINAL, LEAKY, ORIGIN, REPLICATE, TAGS
from study.trials import EpochRecord, Trial

SPACES = Path(__file__).parent.parent / "search_spaces"


@pytest.fixture(scope="module")
def study() -> Study:
    return load(SPACES / "mixup.toml")


def trial(study: Study, number: int, score: float | None, state: Any = "COMPLETE", **changed: Any) -> Trial:
    params = {"stage3.mixup_site": "stage4", "stage3.mixup_alpha": 0.5, "stage3.focal_gamma": float(number)}
    metrics = {"lwlrap": score or math.nan, "tpfp_auc": 0.25}
    return Trial(
        number=number,
        origin="search" if number else "baseline",
        replicate=0,
        seed=7,
        config=study.config({**params, **changed}),
        proposal={},
        attempt=1,
        started=0.0,
        epochs=(EpochRecord(3, 1, 1, 1, False, metrics, 1.0),),
        state=state,
        score=score,
        name=f"{number:04d}-gamma={number}",
    )


def read(folder: Path) -> EventAccumulator:
    seen = EventAccumulator(str(folder / "trials" / RUN))
    seen.Reload()
    return seen


def texts(folder: Path) -> list[tuple[int, str]]:
    return [(event.step, event.tensor_proto.string_val[0].decode()) for event in read(folder).Tensors(LEADERS)]


def named(text: str) -> list[str]:
    """The first cell of each row."""
    return [line.split("|")[1].strip() for line in text.splitlines()[4:]]


def test_every_new_leader_is_told_with_the_baseline_and_lesser_trials_are_not(study: Study, tmp_path: Path) -> None:
    board = BestBoard(tmp_path, study, [])
    for number, score in enumerate([0.5, 0.4, 0.7, 0.6, 0.65, 0.62, 0.3, 0.61]):
        board.ended(trial(study, number, score))
    told = texts(tmp_path)
    assert [step for step, _ in told] == [1, 2, 3, 4, 5, 6, 8]  # the seventh is none of the best five
    assert named(told[-1][1]) == ["2", "4", "5", "7", "3", "0 (baseline)"]
    assert "trial 2**, `0002-gamma=2`, score 0.7000, +0.2000 to the baseline" in told[-1][1]
    assert [(e.step, round(e.value, 3)) for e in read(tmp_path).Scalars(CURVE)][:3] == [(1, 0.5), (2, 0.5), (3, 0.7)]


def test_only_complete_sound_trials_lead_and_the_first_of_equals_stays(study: Study, tmp_path: Path) -> None:
    board = BestBoard(tmp_path, study, [])
    assert LEADERS not in read(tmp_path).Tags()["tensors"]
    board.ended(trial(study, 1, 0.9, "PRUNED"))
    board.ended(trial(study, 2, None, "FAILED"))
    leaky = {"stage3.teacher_scheme": "diary", "stage3.pseudo_threshold": 0.5}
    board.ended(trial(study, 3, 0.9, **leaky))
    assert LEADERS not in read(tmp_path).Tags()["tensors"]
    board.ended(trial(study, 4, 0.5))
    board.ended(trial(study, 5, 0.5))
    assert named(texts(tmp_path)[-1][1]) == ["4", "5"]


def test_a_confirmation_leads_nothing_and_a_baseline_counts_where_it_is_whole_and_of_the_same_replicate(
    study: Study, tmp_path: Path
) -> None:
    board = BestBoard(tmp_path, study, [])
    first, best = trial(study, 0, 0.5), trial(study, 1, 0.6)
    for one in (first, best, replace(trial(study, 2, 0.9), origin="confirm", replicate=1)):
        board.ended(one)
    assert named(texts(tmp_path)[-1][1]) == ["1", "0 (baseline)"]
    assert "+0.1000 to the baseline" in leaders_text(study, [best], first)
    for other in (replace(first, state="FAILED"), replace(first, replicate=1)):
        assert "to the baseline" not in leaders_text(study, [best], other)


def test_a_driver_that_starts_again_tells_what_the_last_one_could_not_and_nothing_twice(
    study: Study, tmp_path: Path
) -> None:
    first, second = trial(study, 0, 0.5), trial(study, 1, 0.75)
    BestBoard(tmp_path, study, []).ended(first)
    BestBoard(tmp_path, study, [first, second])  # the ledger has a trial more than the board
    again = BestBoard(tmp_path, study, [first, second])
    assert [step for step, _ in texts(tmp_path)] == [1, 2]
    again.ended(trial(study, 2, 0.8))
    assert [step for step, _ in texts(tmp_path)] == [1, 2, 3]
    tags = [value.tag for event in event_files.read(tmp_path / "trials" / RUN) for value in event.summary.value]
    assert tags.count("_hparams_/experiment") == 1


def test_a_file_that_a_crash_cut_off_is_read_to_its_last_whole_record(study: Study, tmp_path: Path) -> None:
    told = [trial(study, 0, 0.5), trial(study, 1, 0.75)]
    board = BestBoard(tmp_path, study, [])
    for one in told:
        board.ended(one)
    [path] = (tmp_path / "trials" / RUN).iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    BestBoard(tmp_path, study, told)
    assert named(texts(tmp_path)[-1][1]) == ["1", "0 (baseline)"]


def test_a_knob_that_does_not_act_is_a_dash(study: Study) -> None:
    still = trial(study, 0, 0.5, **{"stage3.mixup_site": "none"})
    row = leaders_text(study, [still], still).splitlines()[4]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[:4] == ["0 (baseline)", "0.5000", "0.5000", "0.2500"]
    assert cells[4 + study.searched().index("stage3.mixup_alpha")] == "–"


def test_the_columns_are_every_knob_and_the_named_metrics_with_the_final_score_first(
    study: Study, tmp_path: Path
) -> None:
    BestBoard(tmp_path, study, [])
    metadata = read(tmp_path).SummaryMetadata("_hparams_/experiment")
    experiment = HParamsPluginData.FromString(metadata.plugin_data.content).experiment
    assert {info.name for info in experiment.hparam_infos} == {*knobs(), LEAKY, ORIGIN, REPLICATE}
    assert {info.name for info in experiment.hparam_infos if info.differs} == set(study.searched())
    assert [info.name.tag for info in experiment.metric_infos] == [FINAL, CONFIRMED, *TAGS.values()]
    for info in experiment.hparam_infos:
        assert not info.HasField("domain_interval"), "a number outside would be filtered away"
        allowed = [value.string_value for value in info.domain_discrete.values]
        assert allowed == ([] if info.name in (LEAKY, ORIGIN, REPLICATE) else list(words(info.name)))
        if allowed:
            assert knobs()[info.name] in allowed
    assert words("stage3.mixup_site") == ("none", "input", "stage3", "stage4")
    assert words("network.backbone") == words("stage3.epochs") == ()


def test_the_leaky_column_comes_first_where_an_arm_leaks(tmp_path: Path) -> None:
    BestBoard(tmp_path, load(SPACES / "diary.toml"), [])
    metadata = read(tmp_path).SummaryMetadata("_hparams_/experiment")
    experiment = HParamsPluginData.FromString(metadata.plugin_data.content).experiment
    leaky = next(info for info in experiment.hparam_infos if info.name == LEAKY)
    arms = load(SPACES / "diary.toml")
    assert leaky.differs == any(arms.hyperparameters(arm.params).leaky for arm in arms.arms)


def test_no_file_stays_open(study: Study, tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("open files are counted in /proc, which is not here")
    before = len(list(Path("/proc/self/fd").iterdir()))
    board = BestBoard(tmp_path, study, [])
    board.ended(trial(study, 0, 0.5))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
