"""The report's plain sentences: what a search can say, and what it cannot."""

from __future__ import annotations

from collections.abc import Sequence

from study.facts import Arm, Facts
from study.figure_sheet import MOST_POINTS
from study.knob import Knob
from study.prose import code, numbers, plain
from study.tables import number, signed

FEW = 3


def verdict(facts: Facts, confirmed: bool = False) -> list[str]:
    """The answer as far as a search gives one; never more certain than that.

    `confirmed`: whether replicates have said more.
    """
    if not facts.rows:
        return ["No trial is on record yet, so nothing can be said."]
    if not facts.ranked:
        nothing = f"No trial has finished with a score to rank, so nothing can be said yet. {_states(facts)}"
        return [nothing, *_leaky(facts)]
    lines = [_winner(facts), *_leaky(facts)]
    for knob in facts.knobs:
        if knob.role == "scientific" and knob.choices:
            lines.extend(_arms(facts, knob))
    count = len(facts.ranked)
    if facts.replicates == 1:
        lines.append(
            "All scores come from one replicate, one partition into folds and one set of seeds: how far they would "
            "move with another is not known."
        )
    if count > 1:
        lines.append(
            f"A search ends with a table, not with evidence: the best of {count} noisy scores is an optimistic one, "
            "and so are differences between arms that were tuned unequally. "
            + (
                "The replicates are the evidence."
                if confirmed
                else "Evidence needs the candidates trained again on fresh partitions and seeds: `confirm`."
            )
        )
    return lines


def history(facts: Facts) -> list[str]:
    """What the history shows, and which trials are not in it."""
    missing = [row for row in facts.rows if row.state == "COMPLETE" and row.score is None and not row.leaky]
    lines = [] if facts.ranked else ["No finished trial with a score to show."]
    if facts.leaky:
        lines.append(f"Leaky trials ({numbers([row.number for row in facts.leaky])}) are left out.")
    if len(facts.ranked) > MOST_POINTS:
        lines.append(
            f"Figures draw at most {MOST_POINTS:,} finished trials, evenly over their ranks; tables count all of them."
        )
    if missing:
        one = len(missing) == 1
        lines.append(
            f"{len(missing)} finished {'trial has' if one else 'trials have'} no finite score "
            f"({numbers([row.number for row in missing])}) and {'is' if one else 'are'} left out."
        )
    return lines


def trade_off(facts: Facts) -> list[str]:
    """Whether both axes of the trade-off are known."""
    if not facts.pareto:
        return [f"No finished trial that is ranked has both `lwlrap` and {code(facts.precision_form)} on record."]
    count = len(facts.pareto)
    return [
        f"{count} of {len(facts.ranked)} finished trials {'is' if count == 1 else 'are'} on the Pareto front: "
        f"no other has both a higher LWLRAP and a higher {code(facts.precision_form)}."
    ]


def arms(choices: Sequence[Knob]) -> list[str]:
    """How to read the arms of the scientific knobs."""
    if not choices:
        return ["No scientific knob with choices is on record, so there are no arms."]
    return [
        "Finished trials only; pruned ones are counted but not scored. An arm's best grows with its number of tries."
    ]


def slices(facts: Facts) -> list[str]:
    """How to read the slices."""
    if not facts.knobs:
        return ["No searched knob is on record in study.json."]
    if not facts.ranked:
        return ["No finished trial with a score to show."]
    lines = ["Every other knob varies along with the one shown: a slice suggests, it does not separate effects."]
    if facts.coloured is not None:
        lines.append(f"Colours and marks are the values of {code(facts.coloured.name)}, as in the history.")
    return lines


def importances(facts: Facts) -> list[str]:
    """Which knobs stand out, how that was found, or why nothing can be said."""
    told = facts.ranking
    silent = [f"{code(knob)} ({why})" for knob, why in told.silent]
    lines = [f"Nothing can be said of {', '.join(silent)}."] if silent else []
    if told.gap:
        return [told.gap, *lines]
    out = [code(item.knob) for item in told.items if item.stands_out]
    first = (
        f"{', '.join(out)} {'stands' if len(out) == 1 else 'stand'} out from what a knob that does nothing gets."
        if out
        else "No knob can be told from one that does nothing yet."
    )
    return [
        first,
        "A knob's share is how much of the variance of scores it predicts alone, in trials that the forest was not "
        "fitted to (main effects by fANOVA; median and 95 % interval over bootstrap resamples of the "
        f"{len(facts.ranked):,} finished trials; pruned ones are left out). Beside every knob a copy of it was "
        "shuffled among the trials: a knob stands out where it gets more than any copy in at least 95 % of the "
        "resamples. "
        "What is missing to 1 is noise and what knobs do together.",
        *lines,
    ]


def coordinates(facts: Facts, left_out: int) -> list[str]:
    """How to read the parallel coordinates."""
    if not facts.ranked:
        return ["No finished trial with a score to show."]
    lines = [
        "A line is a finished trial, from knob to knob down to its score: dark the best one, coloured others of the "
        "best tenth, grey some of the rest. A knob that does not act in a trial is passed at `off`."
    ]
    if left_out:
        lines.append(f"{left_out} knobs of less importance are left out of the drawing.")
    return lines


def failures(facts: Facts) -> list[str]:
    """How many trials failed."""
    failed = sum(len(failure.trials) for failure in facts.failures)
    lines = [f"{failed} of {len(facts.rows)} trials failed."] if failed else ["No trial failed."]
    again = sum(len(failure.trials) for failure in facts.retries)
    if again:
        lines.append(f"{again} {'attempt' if again == 1 else 'attempts'} failed and went on from the last epoch.")
    return lines


def _states(facts: Facts) -> str:
    words = {
        "RUNNING": "running or interrupted",
        "STOPPED": "stopped by the budget",
        "COMPLETE": "finished but not ranked",
    }
    parts = [f"{count} {words.get(state, state.lower())}" for state, count in sorted(facts.cost.states.items())]
    return f"On record: {', '.join(parts)}."


def _winner(facts: Facts) -> str:
    best, first = facts.ranked[0], facts.baseline
    several = len(facts.ranked) > 1
    head = f"The best of {len(facts.ranked)} finished trials" if several else "The only finished trial"
    if best.origin == "baseline":
        return f"{head} is the baseline itself (trial {best.number}), with a score of {number(best.score)}."
    text = f"{head} is trial {best.number} ({plain(best.label)}), with a score of {number(best.score)}"
    if best.difference is not None and first is not None:
        return (
            f"{text}: {signed(best.difference)} against the baseline's {number((best.score or 0.0) - best.difference)}."
        )
    why = "is leaky" if first is not None and first.leaky else "has no finished score"
    return f"{text}. The baseline {why}, so there is nothing to hold it against."


def _leaky(facts: Facts) -> list[str]:
    """That leaky trials are not ranked, and why."""
    rows = facts.leaky
    if not rows:
        return []
    one, told = len(rows) == 1, numbers([row.number for row in rows])
    return [
        f"{len(rows)} finished {'trial is' if one else 'trials are'} leaky ({told}): the teachers had trained "
        f"on the fold that {'its' if one else 'their'} score is measured on (`stage3.teacher_scheme` = diary). "
        f"{'It is' if one else 'They are'} shown, and neither ranked nor compared."
    ]


def _arms(facts: Facts, knob: Knob) -> list[str]:
    arms = [arm for arm in facts.arms if arm.knob == knob.name]
    seen = sorted((arm for arm in arms if arm.finished), key=lambda arm: -(arm.best or 0.0))
    if len(seen) < 2:
        only = f" ({code(seen[0].value)})" if seen else ""
        return [f"By {code(knob.name)} only one arm has a finished trial{only}, so arms cannot be compared."]
    told = ", ".join(f"{code(arm.value)} {number(arm.best)} (best of {arm.finished})" for arm in seen)
    return [f"By {code(knob.name)}: {told}.", *_starved(arms)]


def _starved(arms: list[Arm]) -> list[str]:
    few = [f"{code(arm.value)} ({arm.finished})" for arm in arms if arm.finished < FEW]
    if not few:
        return []
    return [f"Fewer than {FEW} finished trials: {', '.join(few)}. A best of so few cannot be held against the others."]
