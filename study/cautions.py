"""What a person should know of a space before it is run: choices that are allowed, and cost what they should save."""

from __future__ import annotations

from collections.abc import Iterator

from study.space import Study
from study.space_settings import POPULATION, RANDOM_FIRST


def cautions(study: Study, trials: int | None = None) -> tuple[str, ...]:
    """A sentence or two for each; `trials` instead of the space's own budget."""
    if study.search.scheduler == "none" or study.search.grace >= study.epoch_range()[1]:
        return ()
    return (*_starved(study), *_crossing(study), *_thin(study, trials or study.budget.trials))


def fetched(study: Study) -> tuple[str, ...]:
    """What `run` will need from elsewhere."""
    pretrained = study.config(study.baseline)["network.pretrained"]
    if pretrained != "hub":
        return ()
    return (
        '`network.pretrained` is "hub": `run` fetches ImageNet weights from the Hugging Face hub, unless they lie in '
        'this machine\'s cache; "none" trains from scratch.',
    )


def _starved(study: Study) -> Iterator[str]:
    """A sampler that pruning leaves without what it learns from."""
    search = study.search
    waits_for = {"gp": RANDOM_FIRST, "nsga2": POPULATION}.get(search.sampler)
    if waits_for is not None:
        yield (
            f'[search] sampler = "{search.sampler}" learns from COMPLETE trials alone and proposes at random until '
            f'there are {waits_for}; scheduler = "{search.scheduler}" ends most trials before. "tpe" learns from '
            'pruned ones too; scheduler = "none" lets every trial end.'
        )


def _crossing(study: Study) -> Iterator[str]:
    """Trials that learn at different rates are compared before they are over; see `tests/benchmarks/replays.py`."""
    search = study.search
    rates = [f"`{knob.name}`" for knob in study.knobs if knob.name.endswith(".learning_rate")]
    if rates:
        yield (
            f'{" and ".join(rates)}: a rate is searched, and [search] scheduler = "{search.scheduler}" may end a trial '
            f"after {search.grace} of its {study.epoch_range()[1]} epochs. A high rate scores low at first and may be "
            'the best at the end; scheduler = "none" lets every trial end, a larger grace lets it show more.'
        )


def _thin(study: Study, trials: int) -> Iterator[str]:
    """Arms of which hardly a trial is left when ASHA has done its work: a trial that it ends is never compared."""
    search, planned = study.search, study.epoch_range()[1]
    asked = next((knob for knob in study.knobs if knob.role == "scientific" and knob.choices), None)
    if search.scheduler != "asha" or asked is None:
        return
    left = float(trials)
    for _ in search.rungs(planned):  # the first at a rung has nobody to be worse than
        left = 1 + (left - 1) / search.factor
    if left < len(asked.choices):
        yield (
            f'[search] scheduler = "asha" may let some {int(left)} of {trials} trials end, fewer than the '
            f"{len(asked.choices)} values of `{asked.name}`, and only those that end are compared: give more trials, "
            'or scheduler = "none".'
        )
