"""The report's plain sentences: what a search can say, and what it cannot."""

from __future__ import annotations

from collections.abc import Sequence

from study.facts import Arm, Facts, Row
from study.knob import Knob
from study.tables import number, signed

FEW = 3
ROUGH = 50


def verdict(facts: Facts) -> list[str]:
    """The answer as far as a search gives one; never more certain than that."""
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
    if count > 1:
        lines.append(
            f"A search ends with a table, not with evidence: the best of {count} noisy scores is an optimistic one, "
            "and so are differences between arms that were tuned unequally. "
            "Evidence needs the candidates trained again on fresh partitions and seeds, beside the baseline."
        )
    return lines


def history(facts: Facts) -> list[str]:
    """What the history shows, and which trials are not in it."""
    missing = [row for row in facts.rows if row.state == "COMPLETE" and row.score is None and not row.leaky]
    lines = [] if facts.ranked else ["No finished trial with a score to show."]
    if facts.leaky:
        lines.append(f"Leaky trials ({_listed(facts.leaky)}) are left out.")
    if missing:
        one = len(missing) == 1
        lines.append(
            f"{len(missing)} finished {'trial has' if one else 'trials have'} no finite score "
            f"({_listed(missing)}) and {'is' if one else 'are'} left out."
        )
    return lines


def trade_off(facts: Facts) -> list[str]:
    """Whether both axes of the trade-off are known."""
    if not facts.pareto:
        return [f"No finished trial that is ranked has both `lwlrap` and `{facts.precision_form}` on record."]
    count = len(facts.pareto)
    return [
        f"{count} of {len(facts.ranked)} finished trials {'is' if count == 1 else 'are'} on the Pareto front: "
        f"no other has both a higher LWLRAP and a higher `{facts.precision_form}`."
    ]


def slices(facts: Facts) -> list[str]:
    """How to read the slices."""
    if not facts.knobs:
        return ["No searched knob is on record in study.json."]
    if not facts.ranked:
        return ["No finished trial with a score to show."]
    coloured = next((knob for knob in facts.knobs if knob.role == "scientific" and knob.choices), None)
    lines = ["Every other knob varies along with the one shown: a slice suggests, it does not separate effects."]
    if coloured is not None:
        lines.append(f"Colours and marks are the values of `{coloured.name}`, as in the history.")
    return lines


def importances(facts: Facts) -> list[str]:
    """How importances were computed, or why not."""
    if facts.importance_gap:
        return [facts.importance_gap]
    return [
        "The share of the score's variance over the search space that each knob explains alone (fANOVA). "
        "What is missing to 1 is noise and what knobs do together. "
        f"With {len(facts.ranked)} finished trials the shares are "
        f"{'rough' if len(facts.ranked) < ROUGH else 'estimates'}; pruned trials are left out."
    ]


def pruning(facts: Facts) -> list[str]:
    """What pruning saved, and how good the best pruned trial was."""
    told = facts.pruning
    if told.pruned == 0:
        return ["No trial was pruned."]
    lines = [f"{told.pruned} of {len(facts.rows)} trials were stopped early."]
    if told.epochs_saved is not None:
        lines.append(
            f"Against the {told.full_epochs} epochs of a finished trial this saved {told.epochs_saved:,} epochs."
        )
    else:
        lines.append("How many epochs that saved is not known: no trial has finished.")
    if told.best_at_pruning is not None:
        lines.append(
            f"The best score at which a trial was stopped is {number(told.best_at_pruning)}; "
            "whether it would have become a good one was not measured."
        )
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
    text = f"{head} is trial {best.number} ({best.label}), with a score of {number(best.score)}"
    if best.difference is not None and first is not None:
        return f"{text}: {signed(best.difference)} against the baseline's {number(first.score)}."
    why = "is leaky" if first is not None and first.leaky else "has no finished score"
    return f"{text}. The baseline {why}, so there is nothing to hold it against."


def _leaky(facts: Facts) -> list[str]:
    """That leaky trials are not ranked, and why."""
    rows = facts.leaky
    if not rows:
        return []
    one = len(rows) == 1
    return [
        f"{len(rows)} finished {'trial is' if one else 'trials are'} leaky ({_listed(rows)}): the teachers had trained "
        f"on the fold that {'its' if one else 'their'} score is measured on (`stage3.teacher_scheme` = diary). "
        f"{'It is' if one else 'They are'} shown, and neither ranked nor compared."
    ]


def _arms(facts: Facts, knob: Knob) -> list[str]:
    arms = [arm for arm in facts.arms if arm.knob == knob.name]
    seen = sorted((arm for arm in arms if arm.finished), key=lambda arm: -(arm.best or 0.0))
    if len(seen) < 2:
        only = f" (`{seen[0].value}`)" if seen else ""
        return [f"By `{knob.name}` only one arm has a finished trial{only}, so arms cannot be compared."]
    told = ", ".join(f"`{arm.value}` {number(arm.best)} (best of {arm.finished})" for arm in seen)
    return [f"By `{knob.name}`: {told}.", *_starved(arms)]


def _starved(arms: list[Arm]) -> list[str]:
    few = [f"`{arm.value}` ({arm.finished})" for arm in arms if arm.finished < FEW]
    if not few:
        return []
    return [f"Fewer than {FEW} finished trials: {', '.join(few)}. A best of so few cannot be held against the others."]


def _listed(rows: Sequence[Row]) -> str:
    head = ", ".join(str(row.number) for row in rows[:10])
    return head if len(rows) <= 10 else f"{head}, …"
