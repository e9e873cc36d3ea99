"""Which trial trains which stage 1 at this moment, so that another that needs the same one is handed out later.

In a search whose knobs touch stage 1, trials train it themselves, all folds abreast. A second trial with the same
stage 1 would only wait for the first one's; another proposal has work to do at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rfcx_model.hyperparameters import READS
from study.space import Study

MOST_HELD: Final = 4
"""Proposals that may be held back at a time; each was drawn without knowing how those before it end."""


@dataclass
class EarlyStages:
    """The stage 1 of every trial that is still at it."""

    study: Study
    _busy: dict[int, str] = field(default_factory=dict)

    def _stage1(self, params: Mapping[str, Any]) -> str | None:
        """What names the stage 1 of a trial; None where no other trial would wait for it."""
        h = self.study.hyperparameters(params)
        if self.study.first_own(h.last_stage) != "stage1" or h.last_stage == "stage1" or h.stage1.epochs == 0:
            return None
        config = self.study.config(params)
        return json.dumps({name: v for name, v in config.items() if name.partition(".")[0] in READS["stage1"]})

    def begun(self, number: int, params: Mapping[str, Any]) -> None:
        """A trial was handed out."""
        stage1 = self._stage1(params)
        if stage1 is not None:
            self._busy[number] = stage1

    def reported(self, number: int, result: Mapping[str, Any]) -> None:
        """A trial has reported: one that is done with stage 1 stands in nobody's way."""
        if number in self._busy:
            epochs = json.loads(self._busy[number])["stage1.epochs"]
            if result["stage"] > 1 or result["epoch"] >= epochs:
                self.over(number)

    def over(self, number: int) -> None:
        """A trial has ended."""
        self._busy.pop(number, None)

    def in_work(self, params: Mapping[str, Any]) -> bool:
        """Whether another trial trains this one's stage 1 just now."""
        return bool(self._busy) and self._stage1(params) in self._busy.values()
