"""The tally says at every moment what counting all trials would say."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from rfcx_model.hyperparameters import leaks
from study.tally import Tally
from study.trials import EpochRecord, State, Trial

PLANNED = 5
OWN, LEAKY = {"stage3.teacher_scheme": "own"}, {"stage3.teacher_scheme": "diary"}


def trial(
    number: int, state: State = "RUNNING", score: float | None = None, step: int = 0, leaky: bool = False
) -> Trial:
    epochs = tuple(EpochRecord(3, 1, n, n, False, {}, 0.0) for n in range(1, step + 1))
    return Trial(number, "search", 0, 0, LEAKY if leaky else OWN, {}, 1, 0.0, epochs, state, score)


changes = st.tuples(
    st.integers(0, 4),
    st.sampled_from(get_args(State)),
    st.one_of(st.none(), st.sampled_from([0.1, 0.5, 0.9])),
    st.integers(0, PLANNED),
    st.booleans(),
)


@given(st.lists(changes, max_size=30), st.integers(0, 30))
def test_kept_up_it_says_what_counting_would(drawn: list[tuple[int, State, float | None, int, bool]], cut: int) -> None:
    trials: dict[int, Trial] = {}
    tally = Tally([], PLANNED)
    for index, (number, state, score, step, leaky) in enumerate(drawn):
        if number in trials and trials[number].state == "COMPLETE":
            continue  # it never begins again
        if index == cut:
            tally = Tally(trials.values(), PLANNED)
        now = trial(number, state, score, step, leaky)
        tally.changed(trials.get(number), now)
        trials[number] = now
        for one in get_args(State):
            assert tally.states[one] == sum(t.state == one for t in trials.values())
        assert tally.steps == sum(t.step if t.state == "RUNNING" else PLANNED for t in trials.values())
        ranked = [t for t in trials.values() if t.state == "COMPLETE" and t.score is not None and not leaks(t.config)]
        assert tally.best == min(ranked, key=lambda t: (-(t.score or 0.0), t.number), default=None)
