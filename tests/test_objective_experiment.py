"""The objective experiment: its statistics by hand on made-up rows, its seal, and that it goes on where it stopped."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import agreement
import choice
import configs
import experiment
import finishing
import forests
import numpy as np
import pytest
import rows
import torch
import winners
from agreement_tables import tables
from candidates import CANDIDATES, PLAIN, Candidate
from rows import Job, Row

from rfcx_model.corpus import Sounds
from rfcx_model.errors import InputError

TRUTH = [(0.50, 0.52), (0.60, 0.58), (0.40, 0.44), (0.70, 0.64)]  # config, replicate; means 0.51 0.59 0.42 0.67
BY_NAME = {candidate.name: candidate for candidate in CANDIDATES}


def made_up(forest: int, lwlrap: list[tuple[float, float]], truth: list[tuple[float, float]] = TRUTH) -> list[Row]:
    """Rows whose precision is the same for all."""
    same = dict.fromkeys(rows.METRICS, 0.5)
    return [
        Row(
            forest=forest,
            config=config,
            replicate=replicate,
            student=f"{forest} {config} {replicate}",
            code="c",
            **{**same, "lwlrap": lwlrap[config][replicate]},
            test_lwlrap=truth[config][replicate],
            chance=0.2,
            seconds=10.0,
        )
        for config in range(len(truth))
        for replicate in (0, 1)
    ]


def figures_of(lwlrap: list[tuple[float, float]], candidate: Candidate = BY_NAME[PLAIN]) -> agreement.Figures:
    [forest] = agreement.measured(made_up(1, lwlrap), n_configs=4)
    return agreement.figures(forest, candidate)


def test_a_score_that_ranks_as_the_truth_does_has_no_regret() -> None:
    found = figures_of([(0.2, 0.2), (0.3, 0.3), (0.1, 0.1), (0.4, 0.4)])
    assert found.spearman == pytest.approx(1.0)
    assert (found.top_half, found.regret, found.crossed_regret) == (1.0, 0.0, 0.0)


def test_spearman_top_half_and_regret_are_those_by_hand() -> None:
    found = figures_of([(0.5, 0.3), (0.35, 0.35), (0.3, 0.3), (0.2, 0.2)])  # ranks 4 3 2 1, those of the truth 2 3 1 4
    assert found.spearman == pytest.approx(1 - 6 * (4 + 0 + 1 + 9) / (4 * 15))
    assert found.top_half == 0.5  # {0, 1} and {1, 3}
    assert found.regret == pytest.approx(0.67 - 0.51)
    # replicate 0 chooses config 0, replicate 1 config 1; the best by either truth is config 3
    assert found.crossed_regret == pytest.approx(((0.64 - 0.52) + (0.70 - 0.60)) / 2)


def test_the_crossed_rank_correlation_holds_one_replicate_s_score_against_the_other_s_truth() -> None:
    truth = [(0.1, 0.4), (0.2, 0.3), (0.3, 0.2), (0.4, 0.1)]
    [forest] = agreement.measured(made_up(1, [(0.1, 0.4), (0.2, 0.3), (0.3, 0.2), (0.4, 0.1)], truth), n_configs=4)
    assert agreement.figures(forest, BY_NAME[PLAIN]).crossed == pytest.approx(-1.0)
    [forest] = agreement.measured(made_up(1, [(0.4, 0.1), (0.3, 0.2), (0.2, 0.4), (0.1, 0.3)], truth), n_configs=4)
    # scores 4 3 2 1 and 1 2 4 3 against the truths 4 3 2 1 and 1 2 3 4 of the other replicate
    assert agreement.figures(forest, BY_NAME[PLAIN]).crossed == pytest.approx((1.0 + (1 - 6 * 2 / 60)) / 2)


def test_the_luck_of_the_best_is_not_rewarded_across_replicates() -> None:
    truth = np.array([[0.9, 0.5], [0.5, 0.9], [0.6, 0.6]])
    assert agreement.crossed_regret(truth, (2, 2)) == pytest.approx(-0.1)
    assert agreement.crossed_regret(truth, (0, 1)) == 0.0


def test_a_constant_score_ranks_nothing() -> None:
    assert figures_of([(0.5, 0.5)] * 4).spearman == 0.0


def test_a_config_below_the_floor_ranks_last_however_precise() -> None:
    floor = BY_NAME["precision_avg, floor on lwlrap"]
    default = {"lwlrap": 0.5, "precision_avg": 0.6}
    low, high = {"lwlrap": 0.48, "precision_avg": 0.9}, {"lwlrap": 0.495, "precision_avg": 0.1}
    assert floor.score(low, default) < floor.score(high, default) < floor.score(default, default)


def test_the_diary_s_ruler_is_scored_by_its_own_metrics() -> None:
    moving = BY_NAME["0.5 diary_lwlrap + 0.5 diary_precision"]
    metrics = {"lwlrap": 0.1, "precision": 0.1, "diary_lwlrap": 0.9, "diary_precision": 0.5}
    assert moving.score(metrics, metrics) == pytest.approx(0.7)


def test_the_ceiling_is_the_one_by_hand() -> None:
    assert float(agreement.ceiling(np.array([0.2, 0.4666666666666667]))) == pytest.approx(np.sqrt(0.5))
    assert float(agreement.ceiling(np.array([1 / 3]), np.array([1 / 3]))) == pytest.approx(0.5)
    assert float(agreement.ceiling(np.array([-0.5, 0.1]))) == 0.0
    assert agreement.ceiling(np.array([[1.0, 1.0], [1 / 3, 1 / 3]])) == pytest.approx([1.0, np.sqrt(0.5)])


def test_the_ceiling_is_what_two_noisy_measures_of_one_ranking_reach() -> None:
    generator = np.random.default_rng(0)
    true = generator.normal(size=(4000, 1))
    truth, score = true + generator.normal(0, 1.0, (4000, 2)), true + generator.normal(0, 0.7, (4000, 2))
    repeats = [np.array([agreement.spearman(one[:, 0], one[:, 1])]) for one in (truth, score)]
    reached = agreement.spearman(truth.mean(axis=1), score.mean(axis=1))
    assert float(agreement.ceiling(*repeats)) == pytest.approx(reached, abs=0.03)


def test_differences_to_plain_lwlrap_are_paired_by_forest_and_unfinished_forests_are_left_out() -> None:
    good, bad = [(0.2, 0.2), (0.3, 0.3), (0.1, 0.1), (0.4, 0.4)], [(0.4, 0.4), (0.3, 0.3), (0.35, 0.35), (0.2, 0.2)]
    made = [*made_up(1, good), *made_up(2, good), *made_up(3, bad), *made_up(4, good)[:-1]]
    text = tables(made, 4, each=True)
    assert "Forests: 3, configs: 4" in text
    assert "left out: forests 4" in text
    [line] = [line for line in text.splitlines() if line.startswith("| lwlrap |")][:1]
    low = agreement.spearman(np.array([4.0, 2, 3, 1]), np.array([2.0, 3, 1, 4]))
    assert f"{(2 + low) / 3:.2f} [" in line
    [weighted] = [line for line in text.splitlines() if line.startswith("| 0.5 lwlrap + 0.5 tpfp_auc |")][:1]
    assert weighted.count("+0.00 [+0.00, +0.00]") == 1  # half of lwlrap and half of a constant rank alike
    assert tables(made_up(1, good)[:3], 4, each=False).startswith("no forest is whole yet")


def test_the_design_covers_each_knob_and_the_forests_of_a_set_each_range() -> None:
    made = configs.configs()
    assert made[0] == configs.DEFAULT
    assert len(made) == 12
    assert {one["stage3.mixup_site"] for one in made} == set(configs.SITES)
    thresholds = sorted(one["stage3.pseudo_threshold"] for one in made[1:])
    parts = (np.array(thresholds) - 0.3) / 0.65 * 11
    assert parts.astype(int).tolist() == list(range(11))
    for seeds in forests.SETS.values():
        for name, span in forests.LISTED.items():
            values = [getattr(forests.drawn(seed), name) for seed in seeds]
            assert span.low <= min(values) <= max(values) <= span.high
            middle = span.at(0.5)
            assert min(values) < middle < max(values)
    assert len(forests.SETS["development"]) >= 4
    assert len(forests.SETS["sealed"]) >= 6
    assert not set(forests.SETS["development"]) & set(forests.SETS["sealed"])
    assert len(CANDIDATES) <= 6


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=one", "-c", "user.email=one@example.org")
    return subprocess.run(
        ["git", "-C", str(folder), *who, *words], capture_output=True, encoding="utf-8", check=True
    ).stdout


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A repository with the experiment's files, and a choice that would open the seal once it is committed."""
    git(tmp_path, "init", "-q")
    for name in choice.UNCHANGED:
        shutil.copy(choice.CHOICE.with_name(name), tmp_path / name)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "the experiment")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    return tmp_path / "choice.json", {"objective": PLAIN, "commit": commit, "why": "It ranks best."}


def commit_choice(path: Path, made: dict[str, str]) -> None:
    path.write_text(json.dumps(made))
    git(path.parent, "add", path.name)
    git(path.parent, "commit", "-qm", "the choice")


def test_a_committed_choice_opens_the_seal(sealed: tuple[Path, dict[str, str]]) -> None:
    path, made = sealed
    commit_choice(path, made)
    assert choice.choice(path) == choice.Choice(**made)


def test_the_seal_stays_closed_without_a_choice_or_before_it_is_committed(sealed: tuple[Path, dict[str, str]]) -> None:
    path, made = sealed
    with pytest.raises(InputError, match="until a choice is written"):
        choice.choice(path)
    path.write_text(json.dumps(made))
    with pytest.raises(InputError, match="must be committed"):
        choice.choice(path)
    commit_choice(path, made)
    path.write_text(json.dumps(made | {"objective": CANDIDATES[0].name}))
    with pytest.raises(InputError, match="must be committed"):
        choice.choice(path)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"objective": "0.9 lwlrap"}, "objective must be one of"),
        ({"commit": "0" * 40}, "commit must be one of this repository"),
    ],
)
def test_a_choice_of_nothing_known_does_not_open_the_seal(
    sealed: tuple[Path, dict[str, str]], changed: dict[str, str], told: str
) -> None:
    path, made = sealed
    commit_choice(path, made | changed)
    with pytest.raises(InputError, match=told):
        choice.choice(path)


def test_a_candidate_that_is_changed_after_the_choice_closes_the_seal(sealed: tuple[Path, dict[str, str]]) -> None:
    path, made = sealed
    commit_choice(path, made)
    with path.with_name("candidates.py").open("a") as file:
        file.write("# another\n")
    with pytest.raises(InputError, match=r"candidates\.py is not what it was"):
        choice.choice(path)


def test_sealed_tables_are_printed_only_after_the_choice(
    sealed: tuple[Path, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, made = sealed
    monkeypatch.setattr(experiment, "choice", partial(choice.choice, path))
    for row in made_up(101, [(0.2, 0.2), (0.3, 0.3), (0.1, 0.1), (0.4, 0.4)]):
        rows.append(tmp_path / "rows.jsonl", row.__dict__)
    words = ["--folder", str(tmp_path), "--set", "sealed", "--look", "--configs", "4", "--rows"]
    assert experiment.main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "stay closed" in told.err
    assert experiment.main([*words, "--set", "development"]) == 0
    assert "no forest is whole" in capsys.readouterr().out  # and none of the sealed rows
    commit_choice(path, made)
    assert experiment.main(words) == 0
    assert "by the development forests: lwlrap" in (out := capsys.readouterr().out)
    assert "Forests: 1, configs: 4" in out


def test_the_forecast_counts_what_is_left() -> None:
    done = made_up(1, [(0.5, 0.5)] * 4)[:6]
    jobs = [Job(forest, forests.Size(), {}, 4, Path(), Path()) for forest in (1, 2)]
    assert experiment.forecast(done, jobs, workers=2) == (
        "10 rows to train at 10 s of a core each: about 0.0 h with 2 workers"
    )
    assert experiment.forecast([], jobs, workers=2).startswith("16 rows to train; the first")


TINY: dict[str, Any] = {
    "frontend.n_mels": 16,
    "windows.window_frames": 128,
    "stage1.epochs": 1,
    "stage2.epochs": 1,
    "stage3.epochs": 1,
    "stage3.teachers": 1,
    "augment.mel_mask_mels": 4,
}


def test_a_run_that_was_cut_off_goes_on_and_makes_only_what_is_missing(tmp_path: Path) -> None:
    size = forests.Size(train_recordings=9, test_recordings=3, duration_s=12.0, sample_rate_hz=24_000, species=4)
    job = Job(1, size, TINY, 2, tmp_path, tmp_path / "rows.jsonl")
    first = rows.measure(job)
    assert [(row.config, row.replicate) for row in first] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert rows.read(job.results) == first
    assert len({(row.config, row.replicate): row.lwlrap for row in first}.values()) == 4
    lines = job.results.read_bytes().splitlines(keepends=True)
    job.results.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    assert rows.read(job.results) == first[:3]
    rows.mend(job.results)
    again = rows.measure(job)
    assert job.results.read_bytes().splitlines(keepends=True)[:3] == lines[:3]
    assert len(job.results.read_bytes().splitlines()) == 4
    assert [replace(row, seconds=0.0) for row in again] == [replace(row, seconds=0.0) for row in first]
    other = job.results.read_text().replace(first[0].code, "other")
    job.results.write_text(other)
    assert rows.measure(replace(job, any_code=True)) == [replace(row, code="other") for row in again]


def heard(frames: int, seed: int) -> Sounds:
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randint(0, 256, (frames, 4), generator=generator, dtype=torch.uint8)
    shift = torch.rand((1, 4), generator=generator)
    return Sounds(cells, torch.tensor([0, frames]), torch.rand(1, generator=generator), shift, step_db=0.5)


def test_recordings_end_to_end_are_heard_as_they_are_alone() -> None:
    alone = [heard(50, 0), heard(70, 1), heard(60, 2)]
    together = rows.joined(alone)
    for number, one in enumerate(alone):
        start = torch.tensor([-5, 30])
        there = together.inputs(torch.full((2,), number), start, 40)
        assert torch.equal(there, one.inputs(torch.zeros(2, dtype=torch.int64), start, 40))


def test_winners_are_told_in_pairs_by_hand() -> None:
    config = {**configs.DEFAULT, "stage1.epochs": 3}
    found = {201: {who: winners.Winner(config, 0.5) for who in winners.WHO}}
    one = {"the default": 0.40, "random": 0.42, "confirmed": 0.46, "chance": 0.2}
    other = {"the default": 0.44, "random": 0.50, "confirmed": 0.48, "chance": 0.2}
    told = winners.tables(found, {201: [one, other]}).splitlines()
    cells = told[2].split(" | ")
    assert cells[:2] == ["| 201", "0.2000"]
    assert [cell.split(" ± ")[0] for cell in cells[2:]] == [
        "0.4200",
        "0.4600",
        "0.4700",
        "+0.0500",
        "+0.0100",
        "+0.0400",
    ]
    assert cells[5].split(" ± ")[1] == f"{12.706 * 0.01:.4f}"  # t(0.975, 1) · s/√2 of 0.06 and 0.04
    assert told[-1] == (
        "| 201 | confirmed | mixup_site input, mixup_alpha 0.1, pseudo_threshold 0.9, focal_gamma 2 | 0.5000 |"
    )


def test_ways_to_finish_are_told_less_the_plain_one_by_hand() -> None:
    told = finishing.table([{"forest": 1, "plain": 0.4, "ema": 0.5}, {"forest": 2, "plain": 0.6, "ema": 0.62}])
    assert told.splitlines()[2:] == [
        "| plain | 0.5000 |  |",
        f"| ema | 0.5600 | +0.0600 ± {12.706 * 0.04:.4f} |",  # t(0.975, 1) · s/√2 of 0.10 and 0.02
    ]


@pytest.mark.parametrize("name", ["development", "sealed"])
def test_the_readme_shows_what_the_kept_rows_say(name: forests.Set) -> None:
    kept = [row for row in rows.read(choice.CHOICE.with_name("measured.jsonl")) if row.forest in forests.SETS[name]]
    assert len(kept) == 2 * 12 * len(forests.SETS[name])
    readme = (Path(__file__).parent / "benchmarks" / "objective" / "README.md").read_text(encoding="utf-8")
    assert tables(kept, 12, each=False) in readme
