"""What confirmed settings are worth: mean and interval over fresh replicates, and how far they fall from the search.

Notations
    c_r     score of a setting in the fresh replicate r                                      (replicate,)
    fall    score in the search less the mean of c_r: the search's score is that of the luckiest of many
    t       interval over replicates; see `study.arms`. It covers other partitions and seeds, not new recordings
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.arms import Estimate, estimate
from study.declaration import Candidate, Declaration, declaration
from study.facts import finite
from study.tables import Table, number, signed
from study.trials import Trial


@dataclass(frozen=True)
class Standing:
    """A setting over the declared replicates that are COMPLETE. `searched` is its score in the search."""

    candidate: Candidate
    score: Estimate
    lockbox: Estimate
    searched: float | None
    runs: tuple[Trial, ...]
    failed: str = ""  # why, where a replicate of it has failed and has not run since

    @property
    def fall(self) -> float | None:
        """How much lower it is on fresh replicates."""
        return None if self.searched is None or self.score.mean is None else self.searched - self.score.mean


@dataclass(frozen=True)
class Confirmation:
    """All declared settings, the best first; those with fewer replicates than others come last."""

    declared: Declaration
    standings: tuple[Standing, ...]

    @property
    def whole(self) -> bool:
        """Whether all that was declared has run."""
        return all(one.score.n == len(self.declared.replicates) for one in self.standings)

    @property
    def winner(self) -> Standing | None:
        """The setting with the highest mean; none before all has run, and none of one replicate."""
        return self.standings[0] if self.whole and len(self.declared.replicates) > 1 else None


def confirmation(folder: Path, trials: Sequence[Trial]) -> Confirmation | None:
    """What has come of the declaration; None where nothing was declared.

    Raises:
        InputError: confirm.json cannot be read.
    """
    declared = declaration(folder)
    if declared is None:
        return None
    found = [_standing(one, declared, trials) for one in declared.arms]
    found.sort(key=lambda one: (-one.score.n, -(one.score.mean or 0.0), one.candidate.trial))
    return Confirmation(declared, tuple(found))


def _standing(candidate: Candidate, declared: Declaration, trials: Sequence[Trial]) -> Standing:
    mine = [t for t in trials if t.state == "COMPLETE" and dict(t.config) == dict(candidate.config)]
    runs = {t.replicate: t for t in mine if t.origin == "confirm" and t.replicate in declared.replicates}
    searched = [score for t in mine if t.origin != "confirm" and (score := finite(t.score)) is not None]
    return Standing(
        candidate=candidate,
        score=estimate(_known(t.score for t in runs.values())),
        lockbox=estimate(_known(t.metrics.get("lockbox_score") for t in runs.values())),
        searched=sum(searched) / len(searched) if searched else None,
        runs=tuple(runs[replicate] for replicate in sorted(runs)),
        failed=next((t.reason for t in reversed(trials) if _fails(t, candidate) and t.replicate not in runs), ""),
    )


def _fails(trial: Trial, candidate: Candidate) -> bool:
    return trial.origin == "confirm" and trial.state == "FAILED" and dict(trial.config) == dict(candidate.config)


def _known(values: Iterable[Any]) -> list[float]:
    return [number for value in values if (number := finite(value)) is not None]


def sentences(told: Confirmation) -> list[str]:
    """What the confirmation says, and what it does not."""
    n = len(told.declared.replicates)
    lines = []
    if not told.whole:
        ran = ({run.replicate for run in one.runs} for one in told.standings)
        done = len(set(told.declared.replicates).intersection(*ran))
        lines.append(
            f"Confirmation is not finished: {n} replicates were declared, {done} of them are whole. "
            "Call `confirm` again; nothing is chosen before."
        )
        lines += [f"{one.candidate.label} has failed: {one.failed}." for one in told.standings if one.failed]
    elif n == 1:
        lines.append("One replicate was declared: no interval, and no setting counts as confirmed by it.")
    elif told.winner is not None:
        best = told.winner
        lines.append(
            f"Highest mean over {n} fresh replicates: {best.candidate.label} (trial {best.candidate.trial}), "
            f"{number(best.score.mean)} ± {number(best.score.half)}. If that is a difference, `compare` says so."
        )
    falls = [one.fall for one in told.standings if one.fall is not None and not one.candidate.baseline]
    if falls:
        mean = sum(falls) / len(falls)
        down = "fall" if mean >= 0 else "rise"
        lines.append(
            f"From search to confirmation the chosen settings {down} by {abs(mean):.4f} on average"
            + (f", {max(falls):.4f} at most." if mean >= 0 and len(falls) > 1 else ".")
        )
        unchosen = (one.fall for one in told.standings if one.candidate.baseline and one.candidate.by is None)
        if (first := next(unchosen, None)) is not None:
            moved = "falls" if first >= 0 else "rises"
            lines.append(
                f"The baseline, which nobody chose, {moved} by {abs(first):.4f}: so much is due to other partitions "
                "and seeds, and only what goes beyond it to having chosen."
            )
    return lines


def table(told: Confirmation) -> Table:
    """One row a setting."""
    locked = any(one.lockbox.n for one in told.standings)
    headers = ("setting", "trial", "replicates", "mean score", "± 95 %", "in the search", "fall")
    rows = [
        (
            _name(one.candidate),
            str(one.candidate.trial),
            str(one.score.n),
            number(one.score.mean),
            number(one.score.half),
            number(one.searched),
            signed(one.fall),
            *((_interval(one.lockbox),) if locked else ()),
        )
        for one in told.standings
    ]
    note = "Intervals are over partitions and seeds on these recordings." + (
        " Recordings in the lockbox were neither trained on nor scored before." if locked else ""
    )
    return Table((*headers, *(("lockbox",) if locked else ())), tuple(rows), 1, note)


def _name(one: Candidate) -> str:
    return f"{one.label} (the baseline)" if one.baseline and one.label != "baseline" else one.label


def _interval(one: Estimate) -> str:
    return number(one.mean) if one.half is None else f"{number(one.mean)} ± {number(one.half)}"
