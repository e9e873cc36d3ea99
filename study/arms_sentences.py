"""What a study that lists its arms can say, and what it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from study.arms import Arm, Comparison, Pair

FIGURES: Final = {
    "test_lwlrap": "LWLRAP on the hidden truth",
    "lwlrap": "LWLRAP out of fold",
    "precision": "precision",
}
RULERS: Final = {"diary_lwlrap": "its own labels", "lwlrap": "the listed labels", "train_truth_lwlrap": "the truth"}
"""What the same out-of-fold scores are held against."""
SITES: Final = {"none": "no mixup", "input": "input", "stage3": "stage 3", "stage4": "last layer"}


def all_of(told: Comparison) -> list[str]:
    """Everything, in reading order."""
    return [*answer(told), *on_record(told), *limits(told), *ruler(told)]


def answer(told: Comparison) -> list[str]:
    """One sentence a pair and figure: which is higher, or that they cannot be told apart yet."""
    if not any(arm.finished for arm in told.arms):
        return ["No arm has a finished replicate, so nothing can be said yet."]
    if not told.pairs:
        return ["No regime is listed with two mixup sites, so there is no difference to tell."]
    shown = [name for name in FIGURES if told.has(name)]
    return [*_in_short(told, shown), *_each(told, shown)]


def _in_short(told: Comparison, shown: Sequence[str]) -> list[str]:
    """What stands of all differences, in one sentence."""
    known = [(pair, name) for pair in told.pairs for name in shown if pair.differences[name].p_value is not None]
    if not known:
        return []
    standing = [f"{pair.regime} ({FIGURES[name]})" for pair, name in known if pair.differences[name].stands]
    if not standing:
        return [
            f"Mixup sites cannot be told apart yet: of {len(known)} differences in {len(told.pairs)} pairs of arms "
            "none stands after Holm's correction over the pairs, each figure for itself."
        ]
    stand = "stands" if len(standing) == 1 else "stand"
    return [
        f"Of {len(known)} differences between mixup sites, in {len(told.pairs)} pairs of arms, {len(standing)} "
        f"{stand} after Holm's correction over the pairs, each figure for itself: "
        f"{'; '.join(standing)}."
    ]


def _each(told: Comparison, shown: Sequence[str]) -> list[str]:
    return [f"{pair.regime}: {'; '.join(_told(pair, name) for name in shown)}.{_also(pair)}" for pair in told.pairs]


def on_record(told: Comparison) -> list[str]:
    """Which arms have fewer finished replicates than planned, and which are leaky."""
    short = [_short(arm, told.replicates) for arm in told.arms if arm.finished < told.replicates or arm.others]
    lines = [f"Replicates finished: {'; '.join(short)}."] if short else []
    unjudged = [_unjudged(arm) for arm in told.arms if 0 < len(arm.values["test_lwlrap"]) < arm.finished]
    if unjudged:
        lines.append(f"Not yet judged by the truth: {'; '.join(unjudged)}. Call `rfcx-study truth` again.")
    leaky = [f"{arm.regime}, {arm.site}" for arm in told.arms if arm.leaky]
    if leaky:
        lines.append(
            f"Leaky: {'; '.join(leaky)}. Their pseudo-labels come from models that had trained on the very recordings "
            "that they are measured on; the hidden truth alone judges them fairly."
        )
    return lines


def limits(told: Comparison) -> list[str]:
    """What the intervals cover."""
    if not any(arm.finished > 1 for arm in told.arms):
        return ["One replicate gives no interval; nothing is known of how much the next one would differ."]
    lines = [
        "Intervals are 95 % t-intervals over replicates: other partitions into folds and other seeds on these same "
        "recordings. They do not cover new recordings, places or seasons."
    ]
    if told.comparisons > 1:
        lines.append(
            f"{told.comparisons} differences are tested, so about one in twenty would stand out by chance alone. "
            "What still stands after Holm's correction over the regimes is said to; the rest is a hint."
        )
    return lines


def ruler(told: Comparison) -> list[str]:
    """The moving ruler: the same scores against three sets of labels."""
    moved = [
        arm for arm in told.arms if arm.values["diary_lwlrap"] and arm.values["diary_lwlrap"] != arm.values["lwlrap"]
    ]
    if not moved:
        return []
    lines = [
        "The published CV and precision count pseudo-labels that the run itself has made as true. Each arm's ruler is "
        "then another, so such figures cannot be compared between arms: hold them against the column of own labels, "
        "and the leaderboard's against the hidden truth."
    ]
    widest = max(moved, key=lambda arm: (arm.estimate("diary_lwlrap").mean or 0) - (arm.estimate("lwlrap").mean or 0))
    return [*lines, f"{widest.regime}, {widest.site}: {_rulers(widest)}, for the very same out-of-fold scores."]


def signed(value: float) -> str:
    """Three decimals with their sign; what rounds to nothing has a plus."""
    return f"{round(value, 3) + 0.0:+.3f}".replace("-", "−")


def _rulers(arm: Arm) -> str:
    means = {said: arm.estimate(name, beside=RULERS).mean for name, said in RULERS.items()}
    return "LWLRAP is " + ", ".join(f"{mean:.3f} against {said}" for said, mean in means.items() if mean is not None)


def _told(pair: Pair, name: str) -> str:
    one, what = pair.differences[name], FIGURES[name]
    told, second, first = one.estimate, SITES[pair.second.site], SITES[pair.first.site]
    if told.mean is None:
        return f"{what}: no replicate has both sites"
    if told.low is None or told.high is None:
        return f"{what}: cannot be told apart from one replicate ({second} {signed(told.mean)})"
    between = f"[{signed(told.low)}, {signed(told.high)}], {told.n} replicates"
    if one.p_value is None:
        why = "leaky" if pair.first.leaky or pair.second.leaky else "the same in each replicate"
        return f"{what}: not tested, {why} ({second} {signed(told.mean)} {between})"
    if not one.told_apart:
        return f"{what}: cannot be told apart yet ({second} {signed(told.mean)} {between})"
    way, stands = "higher" if told.mean > 0 else "lower", "stands" if one.stands else "does not stand"
    return (
        f"{what}: {second} {way} than {first} by {abs(told.mean):.3f} ({between}; "
        f"{stands} after Holm's correction, p = {one.holm:.2g})"
    )


def _also(pair: Pair) -> str:
    if not pair.also:
        return ""
    return f" The two arms differ in {', '.join(pair.also)} as well, so the site alone is not what is compared."


def _unjudged(arm: Arm) -> str:
    return f"{arm.regime}, {arm.site} {arm.finished - len(arm.values['test_lwlrap'])} of {arm.finished}"


def _short(arm: Arm, replicates: int) -> str:
    others = ", ".join(f"{count} {state.lower()}" for state, count in sorted(arm.others.items()))
    return f"{arm.regime}, {arm.site} {arm.finished} of {replicates}{f' ({others})' if others else ''}"
