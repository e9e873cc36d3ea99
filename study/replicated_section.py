"""The report's part on a grid or listed arms in replicates: a verdict on each question once all of them are over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rfcx_model.errors import InputError
from study import compared_sentences, compared_tables
from study.compared import Answer, Compared, Question, compared
from study.confirmed_section import Confirmed
from study.matched import Replicated, replicated
from study.section import Exhibit, Section
from study.trials import Trial

OVER: Final = ("COMPLETE", "PRUNED", "FAILED")
SITE: Final = ".mixup_site"


def told(folder: Path, study: Mapping[str, Any], trials: Sequence[Trial]) -> Confirmed | None:
    """None for another study, and before all that was declared has run: no look is spent on a report."""
    search = study.get("search") or {}
    if search.get("sampler") != "grid" or int(search.get("replicates") or 1) < 2:
        return None
    known = replicated(folder, study, trials)
    if known.confirmed or not _whole(known):
        return None
    answers: list[Answer] = []
    verdicts, sentences, exhibits = [], [], []
    for by in _questions(known, listed=bool(study.get("arms"))):
        try:
            answer = compared(folder, Question(by))
        except InputError as error:
            sentences.append(f"By `{by}` nothing is compared. {error}")
            continue
        if answer.answers:
            answers += answer.answers
            verdicts += compared_sentences.verdicts(answer)
            sentences += _rest(answer)
            exhibits.append(Exhibit(f"Arms of {by}", compared_tables.results(answer)))
    if not verdicts and not sentences:
        return None
    return Confirmed(Section("Replicates", list(dict.fromkeys(sentences)), exhibits), (*_in_short(answers), *verdicts))


def _in_short(answers: Sequence[Answer]) -> list[str]:
    """How often each verdict, where there are several pairs."""
    if len(answers) < 2:
        return []
    words = Counter("better or worse" if one.word in ("better", "worse") else one.word for one in answers)
    counted = ", ".join(f"{count} {word}" for word, count in words.most_common())
    return [f"Verdicts on {len(answers)} differences: {counted}."]


def _whole(known: Replicated) -> bool:
    """Whether each setting has ended in each replicate; replicates run one after another, so that none is unseen."""
    return bool(known.settings) and all(
        replicate in one.trials and one.trials[replicate].state in OVER
        for one in known.settings
        for replicate in known.replicates
    )


def _questions(known: Replicated, listed: bool) -> list[str]:
    """The scientific knobs with several values; of listed arms, which differ in many at once, the mixup sites."""
    asked = [knob.name for knob in known.knobs if knob.role == "scientific" and knob.choices]
    return [name for name in asked if name.endswith(SITE)] if listed else asked


def _rest(answer: Compared) -> list[str]:
    return compared_sentences.all_of(answer)[len(compared_sentences.verdicts(answer)) :]
