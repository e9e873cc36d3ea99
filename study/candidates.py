"""Which trials of a search run again to be believed, and how often: said before any of them runs. Knows no Ray.

The best of many trials is best partly by luck. So the chosen settings and the baseline run again on replicates that
the search has never used (new partitions into folds, new seeds, a fresh stage 1), and are scored on the lockbox too
where the space keeps one. `confirm.json` holds what was declared; the ledger holds what came of it, as trials of origin
"confirm".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rfcx_model.errors import InputError
from study.arms_to_confirm import best_of_arms, chances
from study.declaration import DECLARED, Candidate, Declaration, declaration, declare, refuse_fewer
from study.ranked import baseline, label, ranking
from study.space import Study
from study.trials import Trial


@dataclass(frozen=True)
class Wanted:
    """What a caller asks to have confirmed: the best `top`, or the best of each arm of the knob `by`."""

    replicates: int
    top: int | None = None
    by: str | None = None
    fill: bool = False

    def check(self, folder: Path, study: Study, trials: Sequence[Trial]) -> None:
        """Refuse what cannot be confirmed, as far as that is known before arms are filled.

        Raises:
            InputError: see `chosen` and `declare`; or replicates have run of which no declaration is there.
        """
        if (self.top is None) == (self.by is None):
            raise InputError("confirm: one of --top K and --by KNOB must be given. Give --top 3, for example.")
        if self.fill and self.by is None:
            raise InputError("confirm: --fill evens out the arms of a knob, so --by KNOB must be given with it.")
        if self.fill and study.search.sampler == "grid":
            raise InputError("confirm: --fill is for a search; a grid gives all its arms the same. Leave --fill out.")
        refuse_fewer(folder, _before(folder, trials), self.replicates)
        if not self.fill or self.by is None:
            self.chosen(folder, study, trials)
        elif len(set(chances(study, trials, self.by).values())) > 1 and self.settled(folder, trials):
            raise InputError(
                f"{folder}: --fill must come before anything is known of the arms of {self.by}, but on the fresh "
                "replicates something is: an arm would be chosen anew by who has seen its result. Leave --fill out; "
                "`run --set search.seed=1` begins a study on other partitions and seeds."
            )

    def chosen(self, folder: Path, study: Study, trials: Sequence[Trial]) -> tuple[Candidate, ...]:
        """The baseline and the settings that are asked for; see `best` and `best_of_arms`."""
        if self.by is not None:
            return best_of_arms(folder, study, trials, self.by, self.settled(folder, trials))
        return best(folder, study, trials, self.top or 1)

    def settled(self, folder: Path, trials: Sequence[Trial]) -> tuple[Candidate, ...]:
        """The arms that were declared for the knob and stay: of one at least a score on fresh replicates is known.

        Else who did not like what `compare` told could call until another setting stands for an arm.
        """
        before = declaration(folder)
        mine = {one.arm: one for one in reversed(before.arms if before else ()) if one.by and one.by == self.by}
        seen = [dict(trial.config) for trial in trials if trial.origin == "confirm" and trial.epochs]
        return tuple(mine.values()) if any(dict(one.config) in seen for one in mine.values()) else ()

    def declared(self, folder: Path, study: Study, trials: Sequence[Trial]) -> Declaration:
        """See `declare`."""
        return declare(folder, study, self.by, self.chosen(folder, study, trials), self.replicates)


def best(folder: Path, study: Study, trials: Sequence[Trial], count: int) -> tuple[Candidate, ...]:
    """The baseline, and the best settings other than it.

    Raises:
        InputError: there is none.
    """
    first = baseline(folder, study, trials)
    others = [trial for trial in ranking(trials) if dict(trial.config) != dict(first.config)]
    if not others:
        raise InputError(
            f"{folder}: a finished trial other than the baseline is needed, but there is none. "
            "Carry on with `run`; pruned and leaky trials are never confirmed."
        )
    return (first, *(Candidate(label(study, trial), None, trial.config, trial.number) for trial in others[:count]))


def _before(folder: Path, trials: Sequence[Trial]) -> Declaration | None:
    """What was declared, which must be there where something has come of it."""
    told = declaration(folder)
    if told is None and any(trial.origin == "confirm" and trial.epochs for trial in trials):
        raise InputError(
            f"{folder / DECLARED}: settings have been confirmed, so it must say which were declared and how often, but "
            "it is gone. Restore it from a copy: who declares anew has seen results."
        )
    return told
