"""What becomes of a trial goes through here, once: ledger first, then TensorBoard and mirrors, then the display.

The driver has one Recorder. It knows no Ray: `tune_events` calls it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from study.display import Display
from study.events import EndState
from study.space import Study
from study.tally import Tally
from study.tensorboard import TrialBoard
from study.trials import EpochRecord, Ledger, Origin, Trial, fold, restarted


@dataclass(frozen=True)
class Start:
    """A trial at its start, or at the start of another attempt."""

    number: int
    name: str
    origin: Origin
    attempt: int
    replicate: int
    seed: int
    config: Mapping[str, Any]
    proposal: Mapping[str, Any]
    after: str = ""  # the trouble with which the attempt before it failed


class Mirror(Protocol):
    """Another place that shows what the ledger says. Each is told after the ledger, with the trial as it is then."""

    def started(self, trial: Trial) -> None:
        """A trial begins, or begins again."""

    def epoch(self, trial: Trial, record: EpochRecord) -> None:
        """`record` is the trial's last epoch."""

    def ended(self, trial: Trial) -> None:
        """A trial is over."""


class Recorder:
    """Writes events, keeps the trials as the ledger tells them, and shows them."""

    def __init__(
        self,
        study: Study,
        ledger: Ledger,
        trials: Sequence[Trial],
        display: Display,
        planned: int,
        mirrors: Sequence[Mirror] = (),
    ) -> None:
        self.trials = {trial.number: trial for trial in trials}
        self._study = study
        self._folder = ledger.path.parent
        self._ledger = ledger
        self.display = display
        self._tally = Tally(trials, planned)
        self._mirrors = mirrors
        self._boards: dict[int, TrialBoard] = {}

    def started(self, start: Start) -> None:
        """A trial begins, or begins again after an interruption or a failure."""
        event = self._ledger.append(
            "started",
            start.number,
            origin=start.origin,
            attempt=start.attempt,
            replicate=start.replicate,
            seed=start.seed,
            config=start.config,
            proposal=start.proposal,
            name=start.name,
            **({"after": start.after} if start.after else {}),
        )
        known = self.trials.get(start.number)
        if known is None:
            self._keep(fold([event])[0])
        else:
            self._keep(restarted(known, start.attempt, start.after))
        self._board(start.number)
        for mirror in self._mirrors:
            mirror.started(self.trials[start.number])
        self.show()

    def epoch(self, number: int, result: Mapping[str, Any]) -> None:
        """One epoch of all folds. An epoch that the ledger has already is passed over."""
        trial = self.trials[number]
        if result["step"] <= trial.step:
            return
        event = self._ledger.append(
            "epoch",
            number,
            stage=result["stage"],
            cycle=result["cycle"],
            epoch=result["epoch"],
            step=result["step"],
            reused=result["reused"],
            metrics={**result["metrics"], "score": result["score"]},
        )
        record = EpochRecord(
            stage=event["stage"],
            cycle=event["cycle"],
            epoch=event["epoch"],
            step=event["step"],
            reused=event["reused"],
            metrics={**result["metrics"], "score": result["score"]},
            time=event["time"],
        )
        self._keep(replace(trial, epochs=(*trial.epochs, record)))
        self._board(number).epoch(record)
        for mirror in self._mirrors:
            mirror.epoch(self.trials[number], record)
        self.show()

    def ended(self, number: int, state: EndState, reason: str = "") -> None:
        """A trial is over. Its score is its last epoch's; `scores` names its out-of-fold scores where it saved them.

        What is over stays as it ended, until it is started again.
        """
        trial = self.trials[number]
        if trial.state != "RUNNING":
            return
        score = trial.metrics.get("score")
        path = Path("trials") / trial.name / "scores.npz"
        scores = path.as_posix() if (self._folder / path).exists() else None
        event = self._ledger.append("ended", number, state=state, score=score, reason=reason, scores=scores)
        self._keep(replace(trial, state=state, score=score, reason=reason, scores=scores, ended=event["time"]))
        board = self._board(number)
        board.end(state, score)
        board.close()
        del self._boards[number]
        for mirror in self._mirrors:
            mirror.ended(self.trials[number])
        told = f" {score:.4f}" if score is not None else ""
        self.display.say(f"trial {trial.name}: {state}{told}{f' ({reason})' if reason else ''}")
        self.show()

    def close(self) -> None:
        """Close ledger and boards; trials that still run stay RUNNING in the ledger."""
        for board in self._boards.values():
            with contextlib.suppress(OSError):  # a disk that is full has been spoken of by now
                board.close()
        self._boards.clear()
        self._ledger.close()

    def best(self) -> Trial | None:
        """The complete trial with the highest score; a leaky one's score is not held against the others'."""
        return self._tally.best

    def _board(self, number: int) -> TrialBoard:
        if number not in self._boards:
            trial = self.trials[number]
            folder = self._folder / "trials" / trial.name
            self._boards[number] = TrialBoard(folder, trial.config, trial.origin, trial.replicate)
            for record in trial.epochs:  # the driver may have died between ledger and board; known steps are skipped
                self._boards[number].epoch(record)
        return self._boards[number]

    def _keep(self, trial: Trial) -> None:
        """The trial as it is now."""
        self._tally.changed(self.trials.get(trial.number), trial)
        self.trials[trial.number] = trial

    def show(self) -> None:
        """How the study stands, on the display."""
        states, best = self._tally.states, self._tally.best
        running, done = states["RUNNING"], states.total() - states["RUNNING"]
        text = f"{done} trials done, {running} running, {states['PRUNED']} pruned, {states['FAILED']} failed"
        if best is not None:
            text += f", best {best.score:.4f} ({best.name})"
        self.display.at(self._tally.steps)
        self.display.status(text)
