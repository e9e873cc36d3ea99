"""Trials that are known before they run, as a Ray searcher: what `confirm` repeats, and what fills an arm."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ray.tune.search import Searcher

from study.events import EndState
from study.space import Params
from study.trials import Origin, Trial


@dataclass(frozen=True)
class Listed:
    """One trial to run; `trial` is the unfinished one of the ledger that is carried on."""

    origin: Origin
    replicate: int
    params: Params
    proposal: Mapping[str, Any] = field(default_factory=dict)
    trial: Trial | None = None


class ListedSearcher(Searcher):
    """Hands out a list, in its order, under the numbers that the ledger has free. Optuna is asked nothing."""

    def __init__(self, trials: Sequence[Trial], listed: Sequence[Listed]) -> None:
        super().__init__()
        self._left = deque(listed)
        self._used = {trial.number for trial in trials}
        self._handed_out: dict[int, Listed] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # Ray's FINISHED is a str
        """The next trial: `{"trial", "attempt", "replicate", "params", "confirm"}`, or FINISHED."""
        del trial_id
        if not self._left:
            return str(Searcher.FINISHED)
        one = self._left.popleft()
        number = max(self._used, default=-1) + 1 if one.trial is None else one.trial.number
        self._used.add(number)
        self._handed_out[number] = one
        attempt = 1 if one.trial is None else one.trial.attempt + 1
        config = {"trial": number, "attempt": attempt, "replicate": one.replicate, "params": one.params}
        return {**config, "confirm": one.origin == "confirm"}

    def origin(self, number: int) -> Origin:
        """As listed."""
        return self._handed_out[number].origin

    def proposal(self, number: int) -> dict[str, Any]:
        """As listed."""
        return dict(self._handed_out[number].proposal)

    def tell(
        self, number: int, state: EndState, score: float | None, metrics: Mapping[str, float] | None = None
    ) -> EndState:
        """How a trial ended: COMPLETE without a finite score is FAILED."""
        del number, metrics
        return "FAILED" if state == "COMPLETE" and (score is None or not math.isfinite(score)) else state

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Nothing is learnt."""

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Nothing is learnt."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the truth, and Ray's files are never read back."""

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Accept what Tune says: score and direction are the study's own."""
        del metric, mode, config, spec
        return True
