"""The ledger: what is written is read, an unfinished line is healed, a damaged one refused with its number."""

from __future__ import annotations

import ast
import errno
import json
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study import events as events_module
from study import trials
from study.events import LedgerError, read_events
from study.trials import (
    BASELINE,
    EpochRecord,
    Ledger,
    LostLedgerError,
    Trial,
    fold,
    heal,
    read_trial,
    read_trials,
    restarted,
)

START: dict[str, Any] = {
    "origin": "search",
    "attempt": 1,
    "replicate": 0,
    "seed": 5,
    "config": {"stage3.mixup_site": "input"},
    "proposal": {"params": {"stage3.mixup_site": "input"}},
    "name": "0003-site=input",
}


def epoch(step: int, score: float = 0.5) -> dict[str, Any]:
    return {
        "stage": 3,
        "cycle": 1,
        "epoch": step,
        "step": step,
        "reused": False,
        "metrics": {"lwlrap": score, "score": score},
    }


def ledger_of_one_trial(folder: Path) -> Path:
    ledger = Ledger(folder / "trials.jsonl")
    ledger.append("started", 3, **START)
    ledger.append("epoch", 3, **epoch(1))
    ledger.append("epoch", 3, **epoch(2, 0.6))
    ledger.append("ended", 3, state="PRUNED", score=0.6, reason="step 2: too low", scores="trials/x/scores.npz")
    ledger.close()
    return ledger.path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (trial,) = read_trials(ledger_of_one_trial(tmp_path))
    assert (trial.number, trial.origin, trial.attempt, trial.replicate, trial.seed) == (3, "search", 1, 0, 5)
    assert trial.config == START["config"]
    assert trial.proposal == START["proposal"]
    assert trial.name == START["name"]
    assert [record.step for record in trial.epochs] == [1, 2]
    assert trial.metrics == {"lwlrap": 0.6, "score": 0.6}
    assert (trial.state, trial.score, trial.reason, trial.scores) == (
        "PRUNED",
        0.6,
        "step 2: too low",
        "trials/x/scores.npz",
    )
    assert trial.ended is not None
    assert trial.started <= trial.epochs[0].time <= trial.ended


@pytest.mark.parametrize("fate", ["removed", "replaced"])
def test_a_ledger_that_was_lost_while_it_was_open_is_not_written_to(tmp_path: Path, fate: str) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl")
    ledger.append("started", 3, **START)
    if fate == "removed":
        ledger.path.unlink()
    else:
        (tmp_path / "copy").write_bytes(ledger.path.read_bytes())
        (tmp_path / "copy").replace(ledger.path)
    with pytest.raises(LostLedgerError, match="was removed or replaced while the study ran"):
        ledger.append("epoch", 3, **epoch(1))
    assert len(read_events(ledger.path)) == (fate == "replaced")
    ledger.close()
    ledger.append("started" if fate == "removed" else "epoch", 3, **(START if fate == "removed" else epoch(1)))
    ledger.close()
    assert len(read_events(ledger.path)) == 1 + (fate == "replaced")


def test_a_ledger_that_is_not_there_holds_no_trials(tmp_path: Path) -> None:
    assert read_trials(tmp_path / "trials.jsonl") == []
    assert not heal(tmp_path / "trials.jsonl")


def test_every_event_is_on_the_disk_when_append_returns(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl")
    for count in range(1, 4):
        ledger.append("started", count, **START)
        assert len(read_events(ledger.path)) == count
    ledger.close()


def test_a_ledger_is_appended_to_by_the_next_process(tmp_path: Path) -> None:
    path = ledger_of_one_trial(tmp_path)
    before = path.read_bytes()
    ledger = Ledger(path)
    ledger.append("started", 4, **START)
    ledger.close()
    assert path.read_bytes().startswith(before)
    assert [trial.number for trial in read_trials(path)] == [3, 4]


@given(st.integers(0, 10_000))
def test_a_crash_at_any_byte_loses_the_last_event_at_most(tmp_path_factory: pytest.TempPathFactory, place: int) -> None:
    path = ledger_of_one_trial(tmp_path_factory.mktemp("cut"))
    whole = path.read_bytes()
    cut = place % (len(whole) + 1)
    path.write_bytes(whole[:cut])
    lines = whole[:cut].count(b"\n")
    assert len(read_events(path)) == lines
    assert heal(path) == (not whole[:cut].endswith(b"\n") and cut > 0)
    assert path.read_bytes() == whole[: whole[:cut].rfind(b"\n") + 1]


def test_the_next_event_does_not_grow_onto_an_unfinished_line(tmp_path: Path) -> None:
    path = ledger_of_one_trial(tmp_path)
    with path.open("a") as file:
        file.write('{"v":1,"event":"started","tri')
    ledger = Ledger(path)
    ledger.append("started", 4, **START)
    ledger.close()
    assert [event["trial"] for event in read_events(path)] == [3, 3, 3, 3, 4]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"}{",
        b"[]",
        b'"text"',
        b"7",
        b'{"v":1}',
        b'{"v":1,"event":"epoch","trial":3}',
        b'{"v":1,"event":"danced","trial":3,"time":0}',
        b'{"v":1,"event":["epoch"],"trial":3,"time":0}',
        b"\xff\xfe\x00",
        b'{"event":"ended","trial":3}',
    ],
)
def test_a_damaged_line_in_the_middle_is_refused_with_its_number(tmp_path: Path, line: bytes) -> None:
    path = ledger_of_one_trial(tmp_path)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*lines[:2], line, *lines[2:]]) + b"\n")
    with pytest.raises(LedgerError, match=r"trials\.jsonl, line 3: not a ledger event.*Restore"):
        read_trials(path)


def test_a_lost_start_is_refused_with_the_line_that_misses_it(tmp_path: Path) -> None:
    path = ledger_of_one_trial(tmp_path)
    path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")
    with pytest.raises(LedgerError, match="line 1: trial 3 never started"):
        read_trials(path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = ledger_of_one_trial(tmp_path)
    path.write_text(path.read_text().replace('"v":1', '"v":2', 1))
    with pytest.raises(LedgerError, match="line 1: this program reads events of version 1, but got 2"):
        read_trials(path)


def test_an_epoch_that_is_told_twice_counts_once(tmp_path: Path) -> None:
    events = read_events(ledger_of_one_trial(tmp_path))
    once = fold(events)
    doubled = [*events[:3], *events[1:3], *events[3:]]
    assert fold(doubled) == once


def test_another_attempt_keeps_the_epochs_and_forgets_the_end(tmp_path: Path) -> None:
    path = ledger_of_one_trial(tmp_path)
    ledger = Ledger(path)
    ledger.append("started", 3, **{**START, "attempt": 2})
    (trial,) = read_trials(path)
    assert (trial.attempt, trial.state, trial.score, trial.reason, trial.ended) == (2, "RUNNING", None, "", None)
    assert trial.step == 2
    ledger.append("epoch", 3, **epoch(3))
    ledger.append("ended", 3, state="COMPLETE", score=0.7)
    ledger.close()
    (trial,) = read_trials(path)
    assert [record.step for record in trial.epochs] == [1, 2, 3]
    assert (trial.state, trial.score, trial.reason) == ("COMPLETE", 0.7, "")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null_on_file_and_nan_when_read(tmp_path: Path, value: float) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl")
    ledger.append("started", 3, **START)
    ledger.append("epoch", 3, **epoch(1, value))
    ledger.close()
    assert '"lwlrap":null' in ledger.path.read_text()
    (trial,) = read_trials(ledger.path)
    assert math.isnan(trial.metrics["lwlrap"])


def test_a_fact_that_is_not_json_is_refused_and_leaves_no_line(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl")
    with pytest.raises(TypeError):
        ledger.append("started", 3, **{**START, "config": {"x": object()}})
    ledger.append("started", 4, **START)
    ledger.close()
    assert [trial.number for trial in read_trials(ledger.path)] == [4]


finite = st.floats(allow_nan=False, allow_infinity=False)
metrics = st.dictionaries(st.sampled_from(["lwlrap", "precision", "score", "train_loss"]), finite)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["started", "epoch", "ended"]), metrics), max_size=30),
    st.text(max_size=20),
)
def test_the_file_says_what_the_events_say(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, Any, dict[str, float]]], reason: str
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "trials.jsonl")
    written, steps, attempts = [], dict.fromkeys(range(5), 0), dict.fromkeys(range(5), 0)
    for number, kind, told in drawn:
        if kind == "started" or not attempts[number]:
            attempts[number] += 1
            written.append(ledger.append("started", number, **{**START, "attempt": attempts[number]}))
        elif kind == "epoch":
            steps[number] += 1
            written.append(ledger.append("epoch", number, **{**epoch(steps[number]), "metrics": told}))
        else:
            written.append(ledger.append("ended", number, state="FAILED", score=told.get("score"), reason=reason))
    ledger.close()
    assert read_events(ledger.path) == json.loads(json.dumps(written))
    assert read_trials(ledger.path) == fold(written)
    alone = [read_trial(ledger.path, number) for number in range(6)]
    assert [trial for trial in alone if trial is not None] == fold(written)
    for trial in read_trials(ledger.path):
        assert [record.step for record in trial.epochs] == list(range(1, steps[trial.number] + 1))
        assert trial.attempt == attempts[trial.number]


def test_a_trial_without_epochs_has_no_metrics() -> None:
    (trial,) = fold([{"event": "started", "trial": 3, "time": 1.0, **START}])
    assert (trial.step, trial.metrics, trial.state) == (0, {}, "RUNNING")


def test_what_an_event_does_not_say_has_a_plain_value() -> None:
    start = {name: fact for name, fact in START.items() if name not in ("name", "proposal")}
    begun = {"event": "started", "trial": 3, "time": 1.5, **start}
    plain = Trial(
        number=3,
        origin="search",
        replicate=0,
        seed=5,
        config=START["config"],
        proposal={},
        attempt=1,
        started=1.5,
        epochs=(),
        state="RUNNING",
        score=None,
        reason="",
        scores=None,
        ended=None,
        name="0003",
        troubles=(),
    )
    assert fold([begun]) == [plain]
    over = fold([begun, {"event": "ended", "trial": 3, "time": 2.5, "state": "STOPPED"}])
    assert [(one.state, one.score, one.reason, one.scores, one.ended) for one in over] == [
        ("STOPPED", None, "", None, 2.5)
    ]
    assert Trial(3, "search", 0, 5, START["config"], {}, 1, 1.5, name="0003") == plain
    assert Trial(3, "search", 0, 5, {}, {}, 1, 1.5).name == ""
    assert BASELINE == 0


def test_an_epoch_on_record_is_all_that_its_event_says() -> None:
    begun = {"event": "started", "trial": 3, "time": 1.0, **START}
    said = {"stage": 2, "cycle": 4, "epoch": 5, "step": 6, "reused": True, "metrics": {"lwlrap": 0.5, "score": None}}
    (trial,) = fold([begun, {"event": "epoch", "trial": 3, "time": 7.5, **said}])
    (record,) = trial.epochs
    facts = record.stage, record.cycle, record.epoch, record.step, record.reused, record.time
    assert facts == (2, 4, 5, 6, True, 7.5)
    assert record.metrics["lwlrap"] == 0.5
    assert math.isnan(record.metrics["score"])
    assert trial.step == 6


def test_a_record_stands_for_the_epochs_since_the_one_before_it_in_its_stage_and_cycle() -> None:
    places = [(2, 1, 2), (3, 1, 1), (3, 1, 2), (3, 1, 5), (3, 2, 2), (3, 2, 3)]
    events = [
        {"event": "epoch", "trial": 3, "time": 1.0, **epoch(step), "stage": stage, "cycle": cycle, "epoch": at}
        for step, (stage, cycle, at) in enumerate(places, start=1)
    ]
    (trial,) = fold([{"event": "started", "trial": 3, "time": 1.0, **START}, *events])
    assert trial.spans == [2, 1, 1, 3, 2, 1]


def test_troubles_are_those_of_attempts_that_were_tried_again() -> None:
    begun = {"event": "started", "trial": 3, "time": 1.0, **START}
    over = {"event": "ended", "trial": 3, "time": 2.0, "state": "FAILED", "scores": "x", "score": 0.5, "reason": "why"}
    again = {**begun, "attempt": 2, "after": "out of memory"}
    (trial,) = fold([begun, over, again, {**begun, "attempt": 3}, {**begun, "attempt": 4, "after": "lost"}])
    assert (trial.attempt, trial.troubles) == (4, ("out of memory", "lost"))
    assert (trial.state, trial.score, trial.scores, trial.reason, trial.ended) == ("RUNNING", None, None, "", None)
    assert restarted(trial, 5).troubles == trial.troubles


def test_trials_come_by_number_however_they_were_begun() -> None:
    begun = [{"event": "started", "trial": number, "time": 1.0, **START} for number in (5, 3, 4)]
    assert [trial.number for trial in fold(begun)] == [3, 4, 5]


FACTS = {
    "started": ["trial", "time", "origin", "attempt", "replicate", "seed", "config"],
    "epoch": ["trial", "time", "stage", "cycle", "epoch", "step", "reused", "metrics"],
    "ended": ["trial", "time", "state"],
}


@pytest.mark.parametrize(("kind", "fact"), [(kind, fact) for kind, facts in FACTS.items() for fact in facts])
def test_an_event_that_lacks_a_fact_is_refused(tmp_path: Path, kind: str, fact: str) -> None:
    path = ledger_of_one_trial(tmp_path)
    events = [json.loads(line) for line in path.read_text().splitlines()]
    del next(event for event in events if event["event"] == kind)[fact]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    with pytest.raises(LedgerError, match="not a ledger event"):
        read_events(path)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("started", {"trial": "3"}),
        ("started", {"config": ["stage3.mixup_site"]}),
        ("started", {"name": 7}),
        ("started", {"name": "../elsewhere"}),
        ("started", {"name": "a\\b"}),
        ("started", {"name": "a\0b"}),
        ("epoch", {"trial": 3.5}),
        ("epoch", {"metrics": [0.5]}),
        ("epoch", {"metrics": {"lwlrap": 0.5, "score": "0.5"}}),
        ("ended", {"trial": None}),
        ("ended", {"state": "DONE"}),
        ("ended", {"state": "RUNNING"}),
        ("ended", {"score": "0.5"}),
        ("ended", {"scores": 5}),
        ("ended", {"scores": "/etc/scores.npz"}),
        ("ended", {"scores": "../scores.npz"}),
        ("ended", {"scores": "trials/../../scores.npz"}),
    ],
)
def test_a_fact_of_another_kind_is_refused(tmp_path: Path, kind: str, wrong: dict[str, Any]) -> None:
    path = ledger_of_one_trial(tmp_path)
    events = [json.loads(line) for line in path.read_text().splitlines()]
    next(event for event in events if event["event"] == kind).update(wrong)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    with pytest.raises(LedgerError, match="not a ledger event"):
        read_events(path)


def test_a_ledger_that_cannot_be_read_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"must be readable, but: Is a directory"):
        read_events(tmp_path)


def test_a_name_may_hold_any_letter_that_leads_nowhere_else(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl")
    ledger.append("started", 3, **{**START, "name": "0003-α=0.2 a?b"})
    ledger.close()
    assert read_trials(ledger.path)[0].name == "0003-α=0.2 a?b"


def test_an_end_without_a_score_is_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl")
    ledger.append("started", 3, **START)
    ledger.append("ended", 3, state="FAILED", reason="out of memory")
    ledger.close()
    (trial,) = read_trials(ledger.path)
    assert (trial.state, trial.score, trial.reason) == ("FAILED", None, "out of memory")


def test_who_may_not_write_writes_nothing(tmp_path: Path) -> None:
    def refuse() -> None:
        raise PermissionError("another driver writes it")

    with pytest.raises(PermissionError):
        Ledger(tmp_path / "trials.jsonl", refuse).append("started", 3, **START)
    assert not (tmp_path / "trials.jsonl").exists()


def test_a_disk_that_is_full_in_mid_line_is_an_error_of_that_file_and_the_next_event_is_whole(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl")
    ledger.append("started", 3, **START)
    whole = ledger.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, hard))
    try:
        with pytest.raises(OSError, match="File too large") as told:
            ledger.append("epoch", 3, **epoch(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (told.value.errno, told.value.filename) == (errno.EFBIG, str(ledger.path))
    assert len(ledger.path.read_bytes()) == len(whole) + 20
    ledger.append("epoch", 3, **epoch(1))
    assert ledger.path.read_bytes().startswith(whole + b'{"v":1,"event":"epoch"')
    ledger.close()
    (trial,) = read_trials(ledger.path)
    assert trial.step == 1


def test_an_event_is_a_line_without_spaces_that_tells_when_it_was_written(tmp_path: Path) -> None:
    ledger, before = Ledger(tmp_path / "trials.jsonl"), time.time()
    told = ledger.append("ended", 3, state="FAILED", score=math.inf, reason="é", more=(1.5, [math.nan, {1: -math.inf}]))
    assert before <= told["time"] <= time.time()
    assert told["more"] == [1.5, [None, {"1": None}]]
    (line,) = ledger.path.read_text().splitlines()
    assert line.startswith('{"v":1,"event":"ended","trial":3,"time":')
    assert line.endswith(',"state":"FAILED","score":null,"reason":"\\u00e9","more":[1.5,[null,{"1":null}]]}')
    ledger.close()
    ledger.close()
    assert "_file" not in repr(ledger)


def test_one_trial_is_told_from_others_that_mention_its_number_and_from_half_a_line(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl")
    assert read_trial(ledger.path, 3) is None
    ledger.append("started", 33, **START)
    ledger.append("started", 4, **{**START, "config": {"trial": 3, "x": 1}})
    assert read_trial(ledger.path, 3) is None
    ledger.append("started", 3, **START)
    ledger.append("epoch", 3, **epoch(1))
    ledger.close()
    with ledger.path.open("a") as file:
        file.write('{"v":1,"event":"ended","trial":3,"time":1.0,"state":"COMPL')
    trial = read_trial(ledger.path, 3)
    assert trial is not None
    assert (trial.number, trial.step, trial.state) == (3, 1, "RUNNING")
    with ledger.path.open("ab") as half:
        half.write(b"\xc3")  # a crash between the bytes of a letter
    assert read_trial(ledger.path, 3) == trial


def test_a_heal_says_whether_there_was_something_to_heal(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    assert heal(path) is False
    for data, cut, left in [(b"", False, b""), (b"a\n", False, b"a\n"), (b"a\nb", True, b"a\n"), (b"b", True, b"")]:
        path.write_bytes(data)
        assert (heal(path), path.read_bytes()) == (cut, left)


def test_epochs_are_facts() -> None:
    record = EpochRecord(3, 1, 1, 1, False, {}, 0.0)
    with pytest.raises(AttributeError):
        record.step = 2  # type: ignore[misc]


def test_the_ledger_needs_the_standard_library_only() -> None:
    own = (events_module, trials)
    nodes = [node for one in own for node in ast.walk(ast.parse(Path(str(one.__file__)).read_text(encoding="utf-8")))]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    others = imported - {one.__name__ for one in own}
    assert {name.partition(".")[0] for name in others} <= set(sys.stdlib_module_names)
