"""audit: a random draw of windows by score, written as sounds and label tracks for a person to judge.

A unit is a window for one species: "is it in there?" Windows are the ruler's, over the test recordings of the data,
since the model was trained on the others. They overlap, so a call may be in two of them.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rfcx_model import compute
from rfcx_model.errors import InputError, RunError
from rfcx_model.metrics import THRESHOLD
from rfcx_model.recordings import load
from rfcx_model.to_predict import load_to_predict
from rfcx_model.window_scores import WindowScores, window_scores
from study import audit_folder, audit_sounds
from study.audit_folder import INSTRUCTIONS, Design, Drawn, Population, Sample
from study.audit_sounds import Clip
from study.display import Display
from study.machine import cores
from study.model_folder import load_model_for, read_config
from study.strata import LEAST, STRATA, draw, strata
from study.whole_folder import refuse_existing, whole_folder


@dataclass(frozen=True)
class Asked:
    """What to draw: so many windows in all, spread evenly over these species (none named: all)."""

    windows: int
    species: tuple[int, ...] = ()
    threshold: float = THRESHOLD
    seed: int = 0


def audit(model_folder: Path, data: Path, to: Path, asked: Asked, display: Display) -> Path:
    """Draw, and write the audit's folder whole or not at all; returns it.

    Raises:
        InputError: model or data are unsound or speak of other species, the target exists, or too little is asked for.
        RunError: recordings cannot be heard; the audit is written without them.
    """
    refuse_existing(to)
    test = load_to_predict(data)
    model = load_model_for(model_folder, test.species, data)
    species, config, table = _species(asked, model.species), read_config(model_folder), test.table
    if table.empty:
        raise RunError(f"no recording could be heard; the first: {next(iter(test.faults.values()))}")
    if doubt := _doubt(model_folder, data, config.data_fingerprint):
        display.say(f"{doubt}: make sure that none of its training recordings is a test recording here")
    torch.set_num_threads(1)
    place = compute.best()
    workers = cores() if place.device.type == "cpu" else 1
    with display.phase("recordings", len(table)):
        heard = window_scores(model, table, place, display.at, workers)
    drawer = _Drawer(asked, table, heard, model.species)
    faults = [*test.faults.values(), *map(str, heard.faults.values())]
    for fault in faults:
        display.say(fault)
    with whole_folder(to) as half:
        samples = tuple(
            drawer.sample(half, one, budget)
            for one, budget in zip(species, _budgets(asked.windows, len(species)), strict=True)
        )
        design = Design(
            format=audit_folder.FORMAT,
            model=str(model_folder),
            model_sha256=config.digest,
            data=str(data),
            data_fingerprint=test.fingerprint,
            threshold=asked.threshold,
            seed=asked.seed,
            window_s=heard.window_s,
            windows_sha256=audit_folder.write_population(half, drawer.population(species)),
            species=samples,
        )
        audit_folder.write_design(half, design)
        text = _instructions(design, to, model.hyperparameters.windows.box_overlap)
        (half / INSTRUCTIONS).write_text(text, encoding="utf-8")
    display.say(_told(design, len(heard.scores)))
    if faults:
        raise RunError(
            f"{len(faults)} of {len(test.ids)} recordings could not be heard and were left out; {to} is drawn from the "
            f"others. The first: {faults[0]}"
        )
    return to


def _doubt(model_folder: Path, data: Path, fingerprint: str | None) -> str:
    """Why the model may have learnt from test recordings of these data; "" where it has learnt from their others."""
    try:
        same = load(data).fingerprint == fingerprint
    except InputError:
        return f"some files of {data} are broken, so it cannot be told whether {model_folder} was trained on it"
    return "" if same else f"{model_folder} was trained on other data than {data}"


def _species(asked: Asked, known: tuple[int, ...]) -> tuple[int, ...]:
    """Those that are audited, in the order of the data."""
    for one in asked.species:
        if one not in known:
            raise InputError(f"--species {one}: a species of the model must be named, but it knows {list(known)}.")
    species = tuple(one for one in known if one in asked.species or not asked.species)
    least = LEAST * len(STRATA)
    if asked.windows < least * len(species):
        raise InputError(
            f"--windows {asked.windows}: {len(species)} species need {least} windows each, {least * len(species)} in "
            "all. Ask for more windows, or for fewer species with --species."
        )
    return species


def _budgets(windows: int, species: int) -> list[int]:
    return [windows // species + (place < windows % species) for place in range(species)]


@dataclass(frozen=True, eq=False)
class _Drawer:
    """Draws one species after another, each from a stream of its own."""

    asked: Asked
    test: pd.DataFrame
    heard: WindowScores
    known: tuple[int, ...]

    def scores(self, species: int) -> np.ndarray:
        """(window,) float64."""
        return self.heard.scores[:, self.known.index(species)].astype(np.float64)

    def population(self, species: tuple[int, ...]) -> Population:
        """Of these species."""
        places = [self.known.index(one) for one in species]
        stratum = [strata(self.scores(one), self.asked.threshold) for one in species]
        return Population(self.heard.scores[:, places], np.stack(stratum, axis=1))

    def sample(self, folder: Path, species: int, budget: int) -> Sample:
        """Draw a species' windows and write their sounds."""
        stratum = strata(self.scores(species), self.asked.threshold)
        drawn = draw(stratum, budget, np.random.default_rng([self.asked.seed, species]))
        test, window_s = self.test, self.heard.window_s
        rows, starts_s = self.heard.recording[drawn], self.heard.start_s[drawn].tolist()
        paths, names = test["path"].iloc[rows], test["recording_id"].iloc[rows]
        clips = [Clip(Path(path), start_s, window_s) for path, start_s in zip(paths, starts_s, strict=True)]
        spans = audit_sounds.write(folder / f"s{species}.flac", clips)
        return Sample(
            species=species,
            strata={name: int((stratum == place).sum()) for place, name in enumerate(STRATA)},
            drawn=tuple(
                Drawn(window, STRATA[stratum[window]], name, start_s, span)
                for window, name, start_s, span in zip(drawn.tolist(), names, starts_s, spans, strict=True)
            ),
        )


def _told(design: Design, windows: int) -> str:
    drawn = [len(sample.drawn) for sample in design.species]
    minutes = sum(sample.drawn[-1].span[1] for sample in design.species) / 60
    every = " (every window of some species)" if max(drawn) == windows else ""
    return f"{sum(drawn)} windows of {len(drawn)} species to judge{every}, {minutes:.0f} minutes of sound"


def _instructions(design: Design, to: Path, box_overlap: float) -> str:
    files = ", ".join(f"`{sample.name}`" for sample in design.species)
    return f"""# How to judge these windows

For each species ({files}) there are a sound, such as `{design.species[0].name}.flac`, and a label track,
`{design.species[0].name}.txt`. The sound holds windows of {design.window_s:.2f} s in random order, a second of silence
behind each. Do not look into `audit.json` before you are done: it tells what the model's scores were like.

1. Open the sound in Audacity, and import the label track (File, Import, Labels).
2. Each label is the window's number and `?`. Listen to the window, and put one letter in place of the `?`:
   - `y`: the species calls in it. A call that is cut counts if at least {box_overlap:.0%} of it, or of the window if
     that is shorter, is inside. Any call that you can make out counts, however faint.
   - `n`: it does not.
   - `u`: you cannot tell.
3. Export the label track over the same file (Export Labels), one species at a time.

A text editor does as well: only the number and the letter are read, the times are not.

Judge from the first window on. You may stop early: windows that still have `?` are left out, and since their order is
random the rest is a smaller random draw. Do not skip the hard ones, though; give them `u`.

Then: `rfcx-study audited {shlex.quote(str(to))}`
"""
