"""The study's own run in TensorBoard, `best`: which trial leads, and which columns the HParams table has.

A trial's folder, and so its run's name, is given before its score is known. So the leader is told in a run of its own:
as a table under Text, of the leading trials and the baseline, and as the curve `objective/best` over the complete
trials. In the HParams table the column `objective/final` stands first among the metrics; sorted by it the best trial
is on top.

The table's columns: TensorBoard ticks the first five knobs and the first five metrics, and the reader ticks others.
Left to itself it sorts metrics by name and makes one of every scalar, also of each species. The record here names the
metrics in the order in which one asks for them, and says of each knob whether it is searched, as TensorBoard puts
those first. Every knob is named, and of a domain only what the knob's type allows at all: so that no trial is filtered
away, whatever study it is of.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData
from tensorboard.util.tensor_util import make_tensor_proto

from rfcx_model.hyperparameters import knobs, words
from study import event_files, markdown
from study.facts import is_ranked, is_ranked_in_search
from study.space import Study, short_name
from study.tables import Table, number
from study.tensorboard import CONFIRMED, FINAL, LEAKY, ORIGIN, REPLICATE, TAGS, hparam
from study.trials import EpochRecord, Trial

RUN: Final = "best"
CURVE: Final = "objective/best"
LEADERS: Final = "best/trials"
SHOWN: Final = 5
_EXPERIMENT_TAG: Final = "_hparams_/experiment"


class BestBoard:
    """A mirror of the ledger: writes whenever a trial becomes one of the leading ones.

    What a driver that died has not written, the next one writes as it starts.
    """

    def __init__(self, folder: Path, study: Study, trials: Sequence[Trial]) -> None:
        self._folder = folder / "trials" / RUN
        self._study = study
        self._path: Path | None = None
        self._complete = sum(map(is_ranked_in_search, trials))
        self._baseline = next((trial for trial in trials if trial.origin == "baseline"), None)
        self._leaders = sorted(filter(is_ranked_in_search, trials), key=_rank)[:SHOWN]
        on_file = {value.tag: value for event in event_files.read(self._folder) for value in event.summary.value}
        if _EXPERIMENT_TAG not in on_file:
            self._write([columns(study)], 0)
        if self._leaders and (LEADERS not in on_file or self._told() != on_file[LEADERS]):
            self._tell()

    def started(self, trial: Trial) -> None:
        """Only what is complete is ranked, and that never begins again."""

    def epoch(self, trial: Trial, record: EpochRecord) -> None:
        """Only what is complete is ranked."""

    def ended(self, trial: Trial) -> None:
        """A trial is over; it may be one of the best."""
        if trial.origin == "baseline":
            self._baseline = trial
        if not is_ranked_in_search(trial):
            return
        self._complete += 1
        leaders = sorted([*self._leaders, trial], key=_rank)[:SHOWN]
        if trial in leaders:
            self._leaders = leaders
            self._tell()

    def _tell(self) -> None:
        self._write([event_files.scalar(CURVE, self._leaders[0].score or 0.0), self._told()], self._complete)

    def _told(self) -> Summary.Value:
        value = event_files.plugin_value(LEADERS, "text", TextPluginData(version=0).SerializeToString())
        text = leaders_text(self._study, self._leaders, self._baseline)
        value.tensor.CopyFrom(make_tensor_proto(np.array([text.encode()], dtype=object)))
        return value

    def _write(self, values: Sequence[Summary.Value], step: int) -> None:
        """Append to this driver's own file, which is open for a moment only."""
        if self._path is None:
            self._path = event_files.next_path(self._folder)
            self._path.write_bytes(event_files.first_record())
        with self._path.open("ab") as file:
            file.write(event_files.record(Event(wall_time=time.time(), step=step, summary=Summary(value=values))))


def leaders_text(study: Study, leaders: Sequence[Trial], baseline: Trial | None) -> str:
    """The leading trials as Markdown, the best one first, and the baseline below them."""
    best, metrics = leaders[0], ("lwlrap", study.objective.precision_form)
    rows = [*leaders, *([baseline] if baseline is not None and baseline not in leaders else [])]
    names = study.searched()
    table = Table(
        ("trial", "score", *metrics, *(short_name(study, name) for name in names)),
        tuple(
            (
                f"{trial.number}{' (baseline)' if trial.origin == 'baseline' else ''}",
                number(trial.score),
                *(number(trial.metrics.get(name)) for name in metrics),
                *(_value(study, trial, name) for name in names),
            )
            for trial in rows
        ),
    )
    above = ""
    if baseline is not None and baseline is not best and is_ranked(baseline) and baseline.replicate == best.replicate:
        above = f", {(best.score or 0.0) - (baseline.score or 0.0):+.4f} to the baseline"
    return (
        f"**Best so far: trial {best.number}**, `{best.name}`, score {number(best.score)}{above}. "
        "The best of many is optimistic: `confirm` tells how good it is.\n\n" + markdown.table(table)
    )


def columns(study: Study) -> Summary.Value:
    """What the HParams table shows of all trials; see the module's text."""
    searched = study.searched()
    infos = [_column(name, value, differs=name in searched) for name, value in knobs().items()]
    leaky = any(study.hyperparameters(arm.params).leaky for arm in study.arms)
    infos.append(api_pb2.HParamInfo(name=LEAKY, type=api_pb2.DATA_TYPE_BOOL, differs=leaky))
    infos.append(api_pb2.HParamInfo(name=ORIGIN, type=api_pb2.DATA_TYPE_STRING))
    infos.append(
        api_pb2.HParamInfo(name=REPLICATE, type=api_pb2.DATA_TYPE_FLOAT64, differs=study.search.replicates > 1)
    )
    tags = [FINAL, CONFIRMED, *TAGS.values()]
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=tag) for tag in tags]
    experiment = api_pb2.Experiment(name=study.name, hparam_infos=infos, metric_infos=metrics)
    content = HParamsPluginData(version=0, experiment=experiment).SerializeToString()
    return event_files.plugin_value(_EXPERIMENT_TAG, "hparams", content)


def _column(name: str, default: object, *, differs: bool) -> api_pb2.HParamInfo:
    """A knob's column; one of words can be filtered by them."""
    plain = hparam(default)
    if isinstance(plain, bool):
        return api_pb2.HParamInfo(name=name, type=api_pb2.DATA_TYPE_BOOL, differs=differs)
    if not isinstance(plain, str):
        return api_pb2.HParamInfo(name=name, type=api_pb2.DATA_TYPE_FLOAT64, differs=differs)
    column = api_pb2.HParamInfo(name=name, type=api_pb2.DATA_TYPE_STRING, differs=differs)
    column.domain_discrete.extend(words(name))
    return column


def _value(study: Study, trial: Trial, name: str) -> str:
    """A searched knob's value, or a dash where it does not act."""
    value = study.params_of(trial.config).get(name, "–")
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _rank(trial: Trial) -> tuple[float, int]:
    """Of equal scores the first trial's counts."""
    return -(trial.score or 0.0), trial.number
