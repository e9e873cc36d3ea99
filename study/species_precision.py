"""Average precision by species of the best trial and the baseline, from the scores that the trials left on file.

The same figure as `precision_avg` of the ruler, before it is averaged over species: of TP and FP boxes out of fold,
priors equalised. A species without boxes of both kinds has none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rfcx_model.errors import InputError
from rfcx_model.metrics import balanced_average_precision
from study.prose import code
from study.scored import Ruler, out_of_fold, read_ruler
from study.tables import Table, number, signed
from study.trials import Trial


@dataclass(frozen=True)
class Species:
    """One species: its listed boxes, and the average precision of each trial; None where it has none."""

    number: int  # the data's own
    tp: int
    fp: int
    best: float | None
    baseline: float | None

    @property
    def difference(self) -> float | None:
        """Best less baseline."""
        return None if self.best is None or self.baseline is None else self.best - self.baseline


@dataclass(frozen=True)
class SpeciesPrecision:
    """All species, and what is missing. `best` and `baseline` are trial numbers; None where there is no such trial."""

    species: tuple[Species, ...] = ()
    best: int | None = None
    baseline: int | None = None
    gaps: tuple[str, ...] = ()


def species_precision(folder: Path, best: Trial | None, baseline: Trial | None) -> SpeciesPrecision:
    """What the study's folder holds of both trials; the baseline may be the best."""
    if best is None:
        return SpeciesPrecision(gaps=("No finished trial that is ranked, so there is no best one to look into.",))
    try:
        ruler = read_ruler(folder)
    except InputError as error:
        return SpeciesPrecision(gaps=(str(error).replace(f"{folder}/", ""),))
    same = baseline is not None and baseline.number == best.number
    other = None if same else baseline
    told = {trial.number: _by_species(folder, trial, ruler) for trial in (best, other) if trial is not None}
    gaps = [answer for answer in told.values() if isinstance(answer, str)]
    if other is None:
        gaps.append("The baseline is the best trial." if same else "There is no finished baseline to stand beside it.")
    known = {trial: answer for trial, answer in told.items() if not isinstance(answer, str)}
    if not known:
        return SpeciesPrecision(gaps=tuple(gaps))
    of_best, of_other = known.get(best.number), known.get(other.number) if other else None
    return SpeciesPrecision(
        species=tuple(
            Species(
                number=int(name),
                tp=int(((ruler.listed.species == place) & ruler.listed.positive).sum()),
                fp=int(((ruler.listed.species == place) & ~ruler.listed.positive).sum()),
                best=of_best[place] if of_best else None,
                baseline=of_other[place] if of_other else None,
            )
            for place, name in enumerate(ruler.species)
        ),
        best=best.number if of_best else None,
        baseline=other.number if other and of_other else None,
        gaps=tuple(gaps),
    )


def sentences(told: SpeciesPrecision) -> list[str]:
    """How to read the figures, and what is missing."""
    lines = list(told.gaps)
    if not told.species:
        return ["Precision by species cannot be said.", *lines]
    words = (
        "Average precision of TP and FP boxes out of fold, priors equalised: what `precision_avg` averages over "
        "species. About 0.5 is chance."
    )
    both = [species.difference for species in told.species if species.difference is not None]
    if both:
        up, down = sum(value > 0 for value in both), sum(value < 0 for value in both)
        lines.append(
            f"Against the baseline, trial {told.best} is higher in {up} and lower in {down} of {len(both)} species. "
            "One replicate and few boxes a species: single differences are rough."
        )
    silent = [str(species.number) for species in told.species if species.best is None and species.baseline is None]
    if silent:
        lines.append(f"No figure for species {', '.join(silent)}: scored boxes of both kinds, TP and FP, are needed.")
    return [words, *lines]


def table(told: SpeciesPrecision) -> Table:
    """A row a species, as the data number them."""
    columns = [name for name, there in (("best", told.best), ("baseline", told.baseline)) if there is not None]
    rows = tuple(
        (
            str(species.number),
            str(species.tp),
            str(species.fp),
            *(number(getattr(species, name)) for name in columns),
            *([signed(species.difference)] if len(columns) == 2 else []),
        )
        for species in told.species
    )
    heads = [f"trial {told.best}" if name == "best" else "baseline" for name in columns]
    return Table(("species", "TP boxes", "FP boxes", *heads, *(["difference"] if len(columns) == 2 else [])), rows)


def _by_species(folder: Path, trial: Trial, ruler: Ruler) -> Sequence[float | None] | str:
    """(species,) average precision, or why there is none."""
    who = f"trial {trial.number}"
    said = out_of_fold(folder, trial)
    if said is None:
        where = code(trial.scores) if trial.scores else "the ledger names no file"
        return f"The out-of-fold scores of {who} are not on file whole ({where})."
    listed = ruler.listed
    if len(said.box_scores) != len(listed.recording) or len(said.folds) != len(ruler.ids):
        return f"The out-of-fold scores of {who} do not fit what the study's data list."
    scored = said.folds[listed.recording] >= 0
    if not np.isfinite(said.box_scores[scored]).all():
        return f"The out-of-fold scores of {who} are not all finite."
    return [
        _finite(balanced_average_precision(listed.positive[mine], said.box_scores[mine], listed.species[mine]))
        for mine in (scored & (listed.species == place) for place in range(listed.n_species))
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
