"""How soon does a search find what random search finds? Searches replayed on a table of really trained trials.

`mixup.toml` on a made-up forest: every setting of a grid over its four knobs is trained once on all folds, with the
stages that they share; `--grid rate` has stage 3's learning rate searched, too, a knob that matters. A replayed trial
proposes what it likes and gets the scores of the grid's nearest setting, epoch by epoch, so that a search of 50 trials
takes seconds.

    random                 settings at random, all epochs
    OptunaSearch + ASHA    Ray's searcher and scheduler with their own defaults, over the same space
    rfcx-study             the study's own searcher and scheduler, as mixup.toml has them

Printed: trial-epochs until a trial that ends has the score of the best of 50 random trials of the same replay; what
pruning saves of 50 trials; and how good the winner of 50 is beside the best of the 50 unpruned.

Example: python tests/benchmarks/replays.py --folder FOLDER --repetitions 20
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from rfcx_model.forest import Forest
from rfcx_model.recordings import load
from rfcx_model.synthetic import write
from study import objective, stages
from study.scheduler import StudyScheduler
from study.searcher import StudySearcher
from study.setting import Alone, Setting, trial_seed, workshop
from study.space import Study
from study.space import load as load_space
from study.work import trial_request

SPACE: Final = Path(__file__).parents[2] / "search_spaces" / "mixup.toml"
SMALLER: Final = {  # sounds of 24 kHz, half the windows, a shorter stage 1: what is searched, stage 3, has its 5 epochs
    "frontend.sample_rate_hz": 24000,
    "frontend.f_max_hz": 12000.0,
    "frontend.n_fft": 1024,
    "frontend.hop_length": 768,
    "windows.window_frames": 128,
    "windows.overlap_frames": 12,
    "augment.time_mask_frames": 10,
    "stage1.jitter_frames": [0, 8, 16],
    "stage1.epochs": 20,
    "stage1.cosine_epochs": 20,
}
FOLDS: Final = 3
SITES: Final = ("none", "input", "stage3", "stage4")
GRIDS: Final[dict[str, dict[str, tuple[float, ...]]]] = {
    "mixup": {
        "stage3.mixup_alpha": (0.1, 0.3, 1.0),
        "stage3.pseudo_threshold": (0.35, 0.7, 0.9),
        "stage3.focal_gamma": (0.0, 2.0, 4.0),
    },
    "rate": {
        "stage3.mixup_alpha": (0.1, 1.0),
        "stage3.pseudo_threshold": (0.35, 0.9),
        "stage3.focal_gamma": (0.0, 4.0),
        "stage3.learning_rate": (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
    },
}
ALSO: Final = {"mixup": "", "rate": '"stage3.learning_rate" = { low = 3e-5, high = 1e-2, log = true }\n'}
ON_LOG: Final = ("stage3.mixup_alpha", "stage3.learning_rate")
TRIALS: Final = 50
SHARED, OWN, UNSHARED, ALONE = 375, 1250, 15_000, 20_000  # fold-epochs of mixup.toml without pruning, as `plan` says
OWN_RULES: Final = ("factor", "sampler", "scheduler", "grace")
LIMIT: Final = 400  # trials after which a search that has not found it is given up
One = tuple[str | float, ...]
"""A setting: the site, and a value of each of the grid's knobs in its order."""
Table = Mapping[One, list[float]]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Bench:
    """What is searched: the grid's knobs with their values, and the space on smaller sounds."""

    folder: Path
    name: str

    @property
    def knobs(self) -> dict[str, tuple[float, ...]]:
        return GRIDS[self.name]

    @property
    def space(self) -> Path:
        return self.folder / f"{self.name}.toml"

    def begin(self) -> None:
        """Write the space file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        head, nuisance, rest = SPACE.read_text(encoding="utf-8").partition("[nuisance]\n")
        self.space.write_text(head + nuisance + ALSO[self.name] + rest, encoding="utf-8")

    def study(self) -> Study:
        study = load_space(self.space)
        return replace(study, fixed={**study.fixed, **SMALLER}, search=replace(study.search, folds=FOLDS))

    def nearest(self, params: Params) -> One:
        """The grid's setting that lies nearest; without mixup there is no alpha."""

        def among(name: str, values: tuple[float, ...]) -> float:
            scale = math.log if name in ON_LOG else float
            return min(values, key=lambda one: abs(scale(one) - scale(params[name])))

        values = [among(name, values) if name in params else 0.0 for name, values in self.knobs.items()]
        return (str(params["stage3.mixup_site"]), *values)

    def settings(self) -> list[One]:
        """All of the grid."""
        alphas, *others = self.knobs.values()
        pairs: list[One] = [("none", 0.0), *product(SITES[1:], alphas)]
        return [(*pair, *rest) for pair, rest in product(pairs, product(*others))]


def trained(bench: Bench, one: One) -> dict[str, Any]:
    """One setting on all folds: its score after each epoch."""
    study, folder = bench.study(), bench.folder
    recordings = load(folder / "forest")
    setting = Setting(recordings, study.search.folds, folder / "cache", folder / "store", threads=1)
    names = ("stage3.mixup_site", *bench.knobs)
    params = {name: value for name, value in zip(names, one, strict=True) if not (name.endswith("alpha") and not value)}
    hyperparameters, seed = study.hyperparameters(params), trial_seed(study.search.seed, 0)
    place = workshop(setting, hyperparameters, seed, lease=Alone(), tick=lambda _: None)
    request = trial_request(study, setting, hyperparameters, 0)
    epochs = [epoch for epoch, _ in stages.trial_epochs(place, hyperparameters, request)]
    return {"setting": one, "scores": [objective.score(study.objective, epoch.metrics) for epoch in epochs]}


def table(bench: Bench, recordings: int) -> Table:
    """The grid's scores; what is not there yet is trained."""
    folder = bench.folder
    if not (folder / "forest").exists():
        options = Forest(
            train_recordings=recordings, test_recordings=1, duration_s=30.0, sample_rate_hz=24_000, species=8
        )
        write(options, folder / "forest", workers=2)
    path = folder / f"{bench.name}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    known = {tuple(line["setting"]): line["scores"] for line in map(json.loads, lines)}
    left = [one for one in bench.settings() if one not in known]
    if left:
        first, *rest = left
        with path.open("a", encoding="utf-8") as file:
            found = trained(bench, first)  # the stages that all share, once
            with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as workers:
                for line in chain([found], workers.map(partial(trained, bench), rest)):
                    file.write(json.dumps(line) + "\n")
                    file.flush()
                    known[tuple(line["setting"])] = line["scores"]
    return known


@dataclass(frozen=True)
class Played:
    """A trial of a replay: the scores it showed, and whether it came to its end."""

    scores: list[float]
    ended: bool


class Search(Protocol):
    """A searcher with its scheduler, as a replay asks them."""

    def propose(self, number: int) -> Params | None:
        """The next trial's knobs."""

    def goes_on(self, number: int, step: int, score: float, planned: int) -> bool:
        """Tell an epoch; whether there is to be another."""


class Ours:
    """The study's searcher and scheduler, told as `study.tune_events` tells them."""

    def __init__(self, study: Study, seed: int, planned: int) -> None:
        own = replace(study, search=replace(study.search, seed=seed))
        self._searcher, self._scheduler = StudySearcher(own, [], LIMIT), StudyScheduler(own.search, planned)

    def propose(self, number: int) -> Params | None:
        config = self._searcher.suggest(str(number))
        return dict(config["params"]) if isinstance(config, dict) else None

    def goes_on(self, number: int, step: int, score: float, planned: int) -> bool:
        result = {"trial": number, "stage": 3, "epoch": step, "step": step, "score": score, "planned": planned}
        stopped = self._scheduler.on_trial_result(None, None, result) == TrialScheduler.STOP  # type: ignore[arg-type]
        if not stopped and step < planned:
            self._searcher.on_trial_result(str(number), result)
            return True
        self._searcher.on_trial_complete(str(number), result)
        self._searcher.tell(number, "PRUNED" if stopped else "COMPLETE", score)
        return False


class Name(str):
    """What Ray's scheduler needs of a trial."""

    __slots__ = ()

    @property
    def trial_id(self) -> str:
        return self


class AsShipped:
    """OptunaSearch and ASHAScheduler with their own defaults; Optuna is told a stopped trial as complete."""

    def __init__(self, study: Study, seed: int, planned: int) -> None:
        def space(trial: Any) -> None:
            site = trial.suggest_categorical("stage3.mixup_site", list(SITES))
            for knob in study.knobs:
                if not knob.choices and (site != "none" or knob.name != "stage3.mixup_alpha"):
                    trial.suggest_float(knob.name, knob.low, knob.high, log=knob.log)

        self._searcher = OptunaSearch(space=space, metric="score", mode="max", seed=seed)
        self._scheduler = ASHAScheduler(time_attr="step", metric="score", mode="max", max_t=planned)

    def propose(self, number: int) -> Params | None:
        self._scheduler.on_trial_add(None, Name(number))  # type: ignore[arg-type]
        return self._searcher.suggest(str(number))

    def goes_on(self, number: int, step: int, score: float, planned: int) -> bool:
        result = {"training_iteration": step, "step": step, "score": score}
        told = self._scheduler.on_trial_result(None, Name(number), result)  # type: ignore[arg-type]
        if told != TrialScheduler.STOP and step < planned:
            self._searcher.on_trial_result(str(number), result)
            return True
        self._searcher.on_trial_complete(str(number), result)
        return False


class AtRandom:
    """As the study's random sampler, nothing pruned."""

    def __init__(self, study: Study, seed: int, planned: int) -> None:
        search = replace(study.search, sampler="random", scheduler="none")
        self._ours = Ours(replace(study, search=search, tries=()), seed, planned)

    def propose(self, number: int) -> Params | None:
        return self._ours.propose(number)

    def goes_on(self, number: int, step: int, score: float, planned: int) -> bool:
        return self._ours.goes_on(number, step, score, planned)


SEARCHES: Final[dict[str, Callable[[Study, int, int], Search]]] = {
    "random": AtRandom,
    "OptunaSearch + ASHA": AsShipped,
    "rfcx-study": Ours,
}


def replayed(search: Search, scores_of: Callable[[Params], list[float]], limit: int) -> Iterator[Played]:
    """Trials one after another."""
    for number in range(limit):
        params = search.propose(number)
        if params is None:
            return
        scores = scores_of(params)
        step = 1
        while search.goes_on(number, step, scores[step - 1], len(scores)):
            step += 1
        yield Played(scores[:step], step == len(scores))


def best(trials: list[Played]) -> float:
    """The highest last score of those that came to their end."""
    return max(trial.scores[-1] for trial in trials if trial.ended)


def cost(trials: list[Played]) -> int:
    """Trial-epochs."""
    return sum(len(trial.scores) for trial in trials)


def reached(search: Search, scores_of: Callable[[Params], list[float]], target: float) -> int:
    """Trial-epochs until a trial has ended with the score; those of all trials where none has."""
    spent = 0
    for trial in replayed(search, scores_of, LIMIT):
        spent += len(trial.scores)
        if trial.ended and trial.scores[-1] >= target:
            break
    return spent


def rows(study: Study, bench: Bench, known: Table, repetitions: int) -> Iterator[dict[str, Any]]:
    """What each replay came to."""
    planned = len(next(iter(known.values())))

    def scores_of(params: Params) -> list[float]:
        return known[bench.nearest(params)]

    for seed in range(repetitions):
        at_random = list(replayed(AtRandom(study, seed, planned), scores_of, TRIALS))
        target = best(at_random)
        for name, made in SEARCHES.items():
            fifty = list(replayed(made(study, seed, planned), scores_of, TRIALS))
            other_seed = seed + (repetitions if name == "random" else 0)  # else it looks for its own best
            yield {
                "search": name,
                "reached": reached(made(study, other_seed, planned), scores_of, target),
                "spent": cost(fifty),
                "planned": TRIALS * planned,
                "less": best(fifty) - target,
                "won": best(fifty) >= target,
            }
        print(f"replay {seed + 1} of {repetitions}", file=sys.stderr)


def course(bench: Bench, known: Table) -> Iterator[str]:
    """A table: the mean score after each epoch at each learning rate."""
    place, rates = 1 + list(bench.knobs).index("stage3.learning_rate"), bench.knobs["stage3.learning_rate"]
    yield "| rate | mean score after each epoch |\n| ---: | --- |"
    for rate in rates:
        mean = np.mean([scores for one, scores in known.items() if one[place] == rate], axis=0)
        yield f"| {rate:g} | {', '.join(f'{score:.3f}' for score in mean)} |"


def told(name: str, of: list[dict[str, Any]], random_reached: float) -> str:
    """A line."""
    reach = np.array([row["reached"] for row in of])
    share = np.mean([row["spent"] / row["planned"] for row in of])
    less = np.array([row["less"] for row in of])
    half = 1.96 * less.std(ddof=1) / math.sqrt(len(less)) if len(less) > 1 else math.nan
    won = np.mean([row["won"] for row in of])
    return (
        f"| {name} | {reach.mean():.0f} | {np.median(reach):.0f} | {reach.mean() / random_reached:.2f} | {share:.2f} | "
        f"{less.mean():+.4f} ± {half:.4f} | {won:.2f} |"
    )


def main() -> None:
    """Measure and print."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="forest, stages and table, kept for another call")
    parser.add_argument("--grid", choices=tuple(GRIDS), default="mixup", help="which knobs are searched")
    parser.add_argument("--recordings", type=int, default=40)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--factor", type=int, help="of the study's ASHA, instead of the space's own")
    parser.add_argument("--sampler", help="of the study, instead of the space's own")
    parser.add_argument("--scheduler", help="of the study, instead of the space's own")
    parser.add_argument("--grace", type=int, help="epochs before the study prunes, instead of the space's own")
    asked = parser.parse_args()
    bench = Bench(asked.folder.absolute(), asked.grid)
    bench.begin()
    known, study = table(bench, asked.recordings), bench.study()
    own = {name: value for name in OWN_RULES if (value := getattr(asked, name)) is not None}
    study = replace(study, search=replace(study.search, **own))
    scores = np.array([value[-1] for value in known.values()])
    print(f"{len(known)} settings; score {scores.mean():.3f}, spread {scores.std():.3f}, best {scores.max():.3f}\n")
    if asked.grid == "rate":
        print("\n".join(course(bench, known)) + "\n")
    found = list(rows(study, bench, known, asked.repetitions))
    by_name = {name: [row for row in found if row["search"] == name] for name in SEARCHES}
    random_reached = float(np.mean([row["reached"] for row in by_name["random"]]))
    print("| search | trial-epochs to it | median | of random's | epochs of 50 trials | winner less | ≥ |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, of in by_name.items():
        print(told(name, of, random_reached))
    if asked.grid != "mixup":
        return
    share = float(np.mean([row["spent"] / row["planned"] for row in by_name["rfcx-study"]]))
    fold_epochs = SHARED + share * OWN
    print(
        f"\nmixup.toml whole: {fold_epochs:.0f} fold-epochs, {UNSHARED / fold_epochs:.1f} times fewer than the diary's "
        f"scheme unshared, {ALONE / fold_epochs:.1f} times fewer than its own"
    )


if __name__ == "__main__":
    main()
