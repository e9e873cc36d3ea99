"""A submission against a known truth: LWLRAP with its interval, beside what a net must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rfcx_model import baseline
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Frontend
from rfcx_model.metrics import lwlrap
from rfcx_model.recordings import load
from rfcx_model.spectrogram_cache import prepare
from study.machine import cores

SUBMISSION, CHANCE = "the submission", "chance"
DRAWS = 2000  # of the bootstrap
SEED = 0


@dataclass(frozen=True)
class Scored:
    """LWLRAP of one list of scores, with a 95 % bootstrap interval over recordings."""

    name: str
    lwlrap: float
    low: float
    high: float

    def line(self, width: int) -> str:
        """As a line whose name takes `width` characters."""
        return f"{self.name:<{width}} {self.lwlrap:.4f}  [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Verdict:
    """A submission, chance and baselines on the same recordings; and how sure the first is above each other."""

    recordings: int
    rows: tuple[Scored, ...]
    above: tuple[tuple[str, float], ...]  # share of bootstrap draws in which the submission scores higher

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        head = f"LWLRAP on {self.recordings} recordings, with 95 % bootstrap intervals over recordings"
        width = max(len(row.name) for row in self.rows)
        lines = [head, *(row.line(width) for row in self.rows)]
        lines += [f"above {name} in {share:.1%} of bootstrap draws" for name, share in self.above]
        return "\n".join(lines)


def judge(
    submission: Path, truth: Path, data: Path | None = None, cache: Path | None = None, beside: Sequence[Path] = ()
) -> Verdict:
    """Score a submission, and others `beside` it; with `data` also baselines that are trained on its TP rows.

    Raises:
        InputError: a table cannot be read, stands there twice, or does not speak of the truth's recordings and species.
    """
    true = read_truth(truth)
    names, asked = list(true.columns), (true.index, true.columns)
    lists = {SUBMISSION: aligned(read_table(submission), *asked, submission)}
    for other in beside:
        if str(other) in lists:
            raise InputError(f"--beside {other}: each submission must be named once, but got this one twice.")
        lists[str(other)] = aligned(read_table(other), *asked, other)
    if data is not None:
        recordings = load(data)
        spectrograms = prepare(
            recordings, _frontend(int(recordings.train["sample_rate_hz"].min())), _need(cache), workers=cores()
        )
        regression = baseline.submission(recordings, spectrograms).set_index("recording_id")
        lists["log-mel means + logistic regression"] = aligned(regression, *asked, data)
        frequency = baseline.frequency_submission(recordings).set_index("recording_id")
        lists["species by their TP frequency"] = aligned(frequency, *asked, data)
    y = true[names].to_numpy() > 0
    generator = np.random.default_rng(SEED)
    draws = [draw for draw in generator.integers(0, len(y), (DRAWS, len(y))) if y[draw].any()]
    boots = {name: np.array([lwlrap(y[draw], scores[draw]) for draw in draws]) for name, scores in lists.items()}
    points = {name: lwlrap(y, scores) for name, scores in lists.items()}
    boots[CHANCE] = np.array([lwlrap(y[draw], generator.random(y.shape)) for draw in draws])
    points[CHANCE] = baseline.chance(y, generator)
    return Verdict(
        recordings=len(y),
        rows=tuple(_scored(name, points[name], boots[name]) for name in points),
        above=tuple((name, float((boots[SUBMISSION] > boots[name]).mean())) for name in points if name != SUBMISSION),
    )


def _frontend(rate: int) -> Frontend:
    """The baseline's own front end: the recordings' lowest rate in Hz, frames of 16 ms, 64 mels."""
    n_fft = 1 << (rate * 42 // 1000).bit_length()
    return Frontend(sample_rate_hz=rate, n_fft=n_fft, hop_length=rate * 16 // 1000, n_mels=64, f_max_hz=rate / 2)


def _need(cache: Path | None) -> Path:
    if cache is None:
        raise ValueError("a baseline needs a cache folder")
    return cache


def _scored(name: str, point: float, boot: NDArray[np.float64]) -> Scored:
    low, high = np.quantile(boot, [0.025, 0.975])
    return Scored(name, point, float(low), float(high))


def read_truth(path: Path) -> pd.DataFrame:
    """(recording, species) 0 or 1, by recording_id.

    Raises:
        InputError: the table cannot be read, holds another number, or no species is present in it.
    """
    true = read_table(path)
    strange = ~true.isin([0, 1]).to_numpy()
    if strange.any():
        row, column = np.argwhere(strange)[0]
        raise InputError(
            f"{path}: a truth must be 0 or 1, but got {true.iloc[row, column]:g} for {true.columns[column]} of "
            f"recording {true.index[row]}. Give the truth, not a submission."
        )
    if not true.to_numpy().any():
        raise InputError(f"{path}: at least one species must be present (1) in one recording, but all are 0.")
    return true


def read_table(path: Path) -> pd.DataFrame:
    """(recording, species) finite numbers, by recording_id.

    Raises:
        InputError: the table cannot be read, a recording stands twice, or a number is none.
    """
    table = _cells(path)
    twice = table.index[table.index.duplicated()]
    if len(twice):
        raise InputError(f"{path}: every recording must stand there once, but {twice[0]} stands twice. Delete a row.")
    numbers = table.apply(pd.to_numeric, errors="coerce")
    bad = np.argwhere(~np.isfinite(numbers.to_numpy(dtype=np.float64)))
    if len(bad) or not table.size:
        got = "none"
        if len(bad):
            row, column = bad[0]
            cell = table.iloc[row, column]
            got = f"{'nothing' if pd.isna(cell) else cell} for {table.columns[column]} of recording {table.index[row]}"
        raise InputError(f"{path}: every score must be a finite number, but got {got}. Correct the file.")
    return pd.DataFrame(numbers)


def _cells(path: Path) -> pd.DataFrame:
    """What a table says, by recording_id."""
    try:
        table = pd.read_csv(path, dtype={"recording_id": str})
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise InputError(f"{path}: {reason}. Give the path of a CSV table with a recording_id column.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: must be UTF-8 text, but byte {error.start} is not. Save it as CSV again.") from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: a header must stand in row 1, but the file is empty. Write it again.") from None
    except ValueError:
        raise InputError(f"{path}: a value for each column must stand in every row, but does not. Mend it.") from None
    if "recording_id" not in table.columns:
        got = ", ".join(map(str, table.columns[:8]))
        raise InputError(f"{path}: column `recording_id` must be there, but got {got}. Mend the header.")
    return table.set_index("recording_id")


def aligned(table: pd.DataFrame, recordings: pd.Index, columns: pd.Index, where: Path) -> NDArray[np.float64]:
    """(recording, species) a table's numbers for these recordings and species; `where` is what the table is of.

    Raises:
        InputError: the table lacks some of them.
    """
    check_covers(table.index, table.columns, recordings, columns, where)
    return table.loc[recordings, list(columns)].to_numpy(dtype=np.float64)


def check_covers(
    known: pd.Index, known_columns: pd.Index, recordings: pd.Index, columns: pd.Index, where: Path
) -> None:
    """Find out whether recordings and species are known to a table.

    Raises:
        InputError: some are not.
    """
    missing = [str(name) for name in columns if name not in known_columns]
    absent = recordings.difference(known)
    if missing or len(absent):
        what = f"columns {', '.join(missing[:5])}" if missing else f"recordings {', '.join(map(str, absent[:5]))}"
        raise InputError(
            f"{where}: it must speak of all recordings and species that are judged, but lacks {what}. Add them."
        )
