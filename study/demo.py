"""The whole journey on a made-up forest, in minutes: what `rfcx-study demo` shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from rfcx_model.errors import InputError
from rfcx_model.forest import Forest
from rfcx_model.synthetic import write as write_forest
from study import final, judge, launch, space
from study.bundle import CARD
from study.display import Display
from study.export import export
from study.machine import cores, uv_run
from study.order import Order
from study.report import REPORT
from study.submission import write_submission
from study.trials import read_trials

FOREST: Final = Forest(
    train_recordings=80, test_recordings=40, duration_s=24.0, sample_rate_hz=24_000, species=10, seed=1
)
SPACE: Final = Path(__file__).parent.parent / "search_spaces" / "smoke.toml"


def demo(out: Path) -> None:
    """Make a forest, search, export, train, predict, and judge against the hidden truth; everything under `out`.

    Raises:
        InputError: `out` exists.
    """
    if out.exists():
        raise InputError(f"{out}: exists already. Give --out a folder that does not exist yet, or remove it.")
    out = out.absolute()
    out.mkdir(parents=True)
    display = Display()
    forest, cache = out / "forest", out / "cache"
    with display.phase("made-up forest", FOREST.train_recordings * 2 + FOREST.test_recordings, "steps"):
        truth = write_forest(FOREST, forest, workers=cores(), progress=display.at)
    study = launch.run(space.load(SPACE), Order(data=forest, out=out / "studies", cache=cache), display)
    bundle = export(study, out / "bundle")
    model = final.train(bundle, forest, out / "model", final.Places(store=None, cache=cache), display)
    submission = write_submission(model, forest, out / "submission.csv", display)
    verdict = judge.judge(submission, truth / "test_truth.csv", forest, cache)
    print(_told(study, verdict))
    print(_Made(study, study / REPORT, bundle, model, submission, forest, cache))


@dataclass(frozen=True)
class _Made:
    """Where everything lies."""

    study: Path
    report: Path
    bundle: Path
    model: Path
    submission: Path
    forest: Path
    cache: Path

    def __str__(self) -> str:
        """That, and what one might do next."""
        forest, cache, study = (quote(str(path)) for path in (self.forest, self.cache, self.study))
        lies = {
            "study": self.study,
            "report": self.report,
            "bundle": self.bundle / CARD,
            "model": self.model / "card.html",
            "submission": self.submission,
        }
        onward = {
            "look": f"tensorboard --logdir {quote(str(self.study / 'trials'))}",
            "read": f"python -m webbrowser {quote(self.report.as_uri())}",
            "go on": f"rfcx-study run {quote(str(SPACE))} --data {forest} --out {quote(str(self.study.parent))} "
            f"--cache {cache} --trials 20",
            "is it better?": f"rfcx-study confirm {study} --by stage3.mixup_site --fill --replicates 3 --cache {cache}",
        }
        where = [f"{name:<15}{path}" for name, path in lies.items()]
        return "\n".join(["", *where, "", *(f"{name:<15}{uv_run()}{call}" for name, call in onward.items())])


def _told(study: Path, verdict: judge.Verdict) -> str:
    """What was found, in lines."""
    trials = read_trials(study / "trials.jsonl")
    complete = [trial for trial in trials if trial.state == "COMPLETE" and trial.score is not None]
    best = max(complete, key=lambda trial: trial.score or 0.0)
    first = trials[0]
    pruned = sum(trial.state == "PRUNED" for trial in trials)
    lines = [
        f"{len(trials)} trials, {len(complete)} complete, {pruned} pruned",
        f"best       {best.name}: score {best.score:.4f}, CV LWLRAP {best.metrics['lwlrap']:.4f}",
        f"baseline   {first.name}: score {first.score or 0.0:.4f}, CV LWLRAP {first.metrics['lwlrap']:.4f}",
        "(the best of several trials is optimistic, and a study this small cannot tell its arms apart)",
        "",
        f"against the forest's hidden truth: {verdict}",
    ]
    return "\n".join(lines)
