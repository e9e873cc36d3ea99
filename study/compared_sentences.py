"""What a comparison can say, and what it cannot: one sentence of verdict a pair and figure, then what it rests on."""

from __future__ import annotations

from study.arms_sentences import signed
from study.compare import POWER, detectable
from study.compared import Answer, Compared
from study.spending import ALPHA, TOO_EARLY

FEW = 3  # replicates
FIGURES = {"lwlrap": "LWLRAP", "precision_avg": "average precision of boxes", "tpfp_auc": "TP against FP boxes"}


def all_of(told: Compared) -> list[str]:
    """Everything, in reading order."""
    return [*verdicts(told), *beside(told), *on_record(told), *limits(told)]


def verdicts(told: Compared) -> list[str]:
    """One sentence a pair and figure."""
    return [verdict(answer, told) for answer in told.answers] or [told.why]


def verdict(answer: Answer, told: Compared) -> str:
    """Better, practically equal, or not known yet, for new recordings."""
    first, second = answer.names
    head = f"{answer.where}: " if answer.where else ""
    head += FIGURES.get(answer.figure, answer.figure)
    if answer.new is None or answer.interval is None:
        return f"{head}: not known yet whether {second} is better than {first}; {_too_few(answer)}."
    between = f"{_interval(answer.interval)}, {_count(len(answer.differences), 'replicate')}"
    if answer.word == "practically equal":
        apart = answer.holm is not None and told.look is not None and answer.holm < told.look.level
        so = "there is a difference, but it is" if apart else "the difference is"
        return (
            f"{head}: {second} and {first} are practically equal; for new {told.groups} {so} "
            f"{signed(answer.new.mean)} ({between}), within ±{told.question.margin:g}."
        )
    if answer.word == "not known yet":
        return (
            f"{head}: not known yet whether {second} is better than {first}; for new {told.groups} the difference is "
            f"{signed(answer.new.mean)} ({between}). {_settles(answer, told)}"
        )
    better, worse = (second, first) if answer.word == "better" else (first, second)
    return (
        f"{head}: {better} is better than {worse} by {abs(answer.new.mean):.3f} for new {told.groups} "
        f"({second} less {first} {between}, p = {answer.holm:.2g}{_holm(answer, told)})."
    )


def beside(told: Compared) -> list[str]:
    """What is said of these recordings alone, and of single species."""
    lines = [line for answer in told.answers if (line := _these(answer))]
    level = told.look.level if told.look is not None else ALPHA
    alike: dict[int, list[str]] = {}  # pairs by how many species were tested
    for answer in told.answers:
        if not answer.species or answer.figure != told.answers[0].figure:
            continue
        stand = [one for one in answer.species if one.holm is not None and one.holm < level]
        named = "; ".join(f"{one.species} by {signed(one.new.mean)} (p = {one.holm:.2g})" for one in stand)
        if stand:
            lines.append(f"{_pair(answer)} differ in species {named}: {_tested(len(answer.species))}.")
        else:
            alike.setdefault(len(answer.species), []).append(_pair(answer))
    for count, pairs in alike.items():
        lines.append(f"{', '.join(pairs)} can be told apart in no single species: {_tested(count)}.")
    return lines


def on_record(told: Compared) -> list[str]:
    """Which replicates are left out, which arms are leaky, and what was tuned apart."""
    lines = []
    for answer in told.answers:
        if answer.figure == told.answers[0].figure and answer.left_out:
            left = "; ".join(_left_out(answer, why) for why in dict.fromkeys(answer.left_out.values()))
            lines.append(f"{_pair(answer)}: of {told.declared} declared replicates some are left out: {left}.")
    if told.leaky:
        lines.append(
            f"Never compared, since their teachers saw the fold they are measured on: {'; '.join(told.leaky)}."
        )
    if len(set(told.among.values())) > 1:
        among = ", ".join(f"{name} of {count}" for name, count in told.among.items())
        lines.append(f"Each arm was the best of its trials, {among}: the best of fewer is worse by chance alone.")
    tuned = sorted({name for answer in told.answers for name in answer.tuned})
    if tuned:
        lines.append(f"Each arm has its own tuned {', '.join(tuned)}.")
    return lines


def limits(told: Compared) -> list[str]:
    """What the looks have spent, and what the intervals cover."""
    if told.look is None:
        return []
    lines = [*_looked(told)]
    if told.look.level < TOO_EARLY:
        return lines
    compared = sum(answer.new is not None for answer in told.answers) // len({one.figure for one in told.answers})
    at_once = f"; the {compared} of a figure hold all at once" if compared > 1 else ""
    lines.append(
        f"Intervals are {_percent(1 - told.look.level)} intervals{at_once}. They cover other partitions, other seeds "
        f"and other {told.groups} to be scored like these, not other places or seasons."
    )
    return lines


def _looked(told: Compared) -> list[str]:
    look = told.look
    if look is None:
        return []
    lines = []
    if look.declared < told.declared and look.final:
        lines.append(f"These are the {look.seen} replicates that were declared first; now {told.declared} are.")
    if not look.final:
        lines.append(
            f"A look at {look.seen} of {told.declared} declared replicates: {_judged_at(look.level)}, so that all "
            f"looks together keep to {_percent(ALPHA)}."
        )
    if told.total > ALPHA * 1.001:
        earlier = f" after {' and '.join(map(str, told.raised))}" if told.raised else ""
        lines.append(
            f"More replicates were declared once all of the earlier ones had been seen{earlier}: together the looks "
            f"find a difference that is not there in {_percent(told.total)} of studies, more than {_percent(ALPHA)}."
        )
    return lines


def _judged_at(level: float) -> str:
    return "it spends nothing" if level < TOO_EARLY else f"it is judged at {_percent(level)}"


def _too_few(answer: Answer) -> str:
    n = len(answer.differences)
    if answer.new is not None:
        return f"a look after {_count(n, 'replicate')} is too early to tell anything"
    if n == 0:
        return "no replicate has both"
    if n > 1:
        return "too few recordings or sites hold what is listed to say how new ones would differ"
    told = f"one replicate ({signed(*answer.differences.values())}) says nothing of how much the next would differ"
    if answer.folds is None or answer.folds.p_value is None:
        return told
    least = detectable(answer.folds, ALPHA)
    return (
        f"{told}. The corrected resampled t over its folds has p = {answer.folds.p_value:.2g}, and finds only "
        f"differences from {least:.3f} on with {_percent(POWER)} power, so its silence says little"
    )


def _settles(answer: Answer, told: Compared) -> str:
    parts, found = [], f"With {_count(len(answer.differences), 'replicate')}"
    if answer.detectable is not None and answer.detectable >= 1:
        parts.append(f"{found} no difference can be found, however large ({_percent(POWER)} power).")
    elif answer.detectable:
        parts.append(f"{found} a difference of {answer.detectable:.3f} or more can be found ({_percent(POWER)} power).")
    plan = answer.plan
    if plan is None:
        return " ".join(filter(None, parts))
    if len(answer.differences) < FEW:  # these tell too little of how much replicates vary
        more = told.look is not None and not told.look.final
        parts.append(f"The {told.declared} declared replicates may settle it." if more else "")
    elif plan.times > 1:
        parts.append(
            f"A difference of {plan.effect:.3f} is too small for these {told.groups}, however many replicates are run: "
            f"it takes about {plan.times} times as many {told.groups}, and {plan.replicates} replicates."
        )
    elif plan.replicates > len(answer.differences):
        parts.append(f"It takes about {plan.replicates} replicates in all to find one of {plan.effect:.3f}.")
    elif told.look is not None and not told.look.final:
        parts.append(f"The {told.declared} declared replicates may settle it.")
    return " ".join(filter(None, parts))


def _these(answer: Answer) -> str:
    """(A): what is known of these recordings alone."""
    told = answer.these.estimate
    if told.low is None or told.high is None or told.mean is None:
        return ""
    named = FIGURES.get(answer.figure, answer.figure)
    p = "not tested, the same in each" if answer.these.p_value is None else f"paired t, p = {answer.these.p_value:.2g}"
    return (
        f"On these recordings alone, {_pair(answer)}, {named}: {signed(told.mean)} "
        f"({_interval((told.low, told.high))}, {p})."
    )


def _tested(species: int) -> str:
    return f"average precision of recordings, {species} species, after Holm's correction over them"


def _left_out(answer: Answer, why: str) -> str:
    numbers = [str(one) for one, said in answer.left_out.items() if said == why]
    return f"replicate{'' if len(numbers) == 1 else 's'} {', '.join(numbers)} ({why})"


def _pair(answer: Answer) -> str:
    """Both names, and what tells the pair from others of the same names."""
    return f"{answer.names[1]} and {answer.names[0]}{f' ({answer.where})' if answer.where else ''}"


def _holm(answer: Answer, told: Compared) -> str:
    tested = sum(one.new is not None for one in told.answers if one.figure == answer.figure)
    return f" after Holm's correction over {tested} comparisons" if tested > 1 else ""


def _interval(interval: tuple[float, float]) -> str:
    return f"[{signed(interval[0])}, {signed(interval[1])}]"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _percent(value: float) -> str:
    shown = f"{100 * value:.3g}"
    return f"{shown if value < 0.9995 or value == 1 else f'{100 * value:.6g}'} %"
