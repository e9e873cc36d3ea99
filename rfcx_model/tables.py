"""The competition's CSV files as rows that know their line; every fault a file can hold on its own."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rfcx_model.errors import cut

BOX_COLUMNS = ("recording_id", "species_id", "songtype_id", "t_min", "f_min", "t_max", "f_max")


@dataclass(frozen=True)
class Table:
    """One CSV: `rows` are (line as a text editor counts, values by column); empty where the file could not be read."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Box:
    """One row of train_tp.csv (`positive`) or train_fp.csv: times in seconds, band in hertz."""

    where: str
    recording_id: str
    species_id: int
    songtype_id: int
    t_min: float
    f_min: float
    t_max: float
    f_max: float
    positive: bool


def read_table(path: Path, required: tuple[str, ...]) -> Table:
    """Read one CSV. A missing file or column, a ragged or repeated row, or no row at all is told in `faults`."""
    name = path.name
    try:
        reader = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
        columns = tuple(cell.strip() for cell in next(reader, []))
        cells = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except FileNotFoundError:
        return _refused(name, f"{name}: the file must exist, but {path} does not. Is this the competition's folder?")
    except IsADirectoryError:
        return _refused(name, f"{name}: must be a file, but is a folder. Put the competition's file there.")
    except OSError as error:
        return _refused(name, f"{name}: must be readable, but: {error.strerror}. Mend the file or its permissions.")
    except UnicodeDecodeError as error:
        return _refused(name, f"{name}: must be UTF-8 text, but byte {error.start} is not. Save it as CSV in UTF-8.")
    except csv.Error as error:
        return _refused(name, f"{name}: must be a CSV file, but {error}. Save it again.")
    if missing := [column for column in required if column not in columns]:
        got = ", ".join(map(cut, columns[:8])) or "nothing"
        return _refused(name, f"{name}, row 1: column `{missing[0]}` must be there, but got {got}. Mend the header.")
    if repeated := [column for place, column in enumerate(columns) if column in columns[:place]]:
        return _refused(name, f"{name}, row 1: columns must differ, but `{cut(repeated[0])}` stands twice. Delete one.")
    if not cells:
        return _refused(name, f"{name}: at least one row must follow the header, but got none. Fill the file.")
    faults: list[str] = []
    seen: dict[tuple[str, ...], int] = {}
    rows: list[tuple[int, Mapping[str, str]]] = []
    for line, values in cells:
        if len(values) != len(columns):
            got = f"{len(values)} values for {len(columns)} columns"
            faults.append(f"{name}, row {line}: a value for each column must stand, but got {got}. Mend the row.")
        elif (first := seen.setdefault(tuple(values), line)) != line:
            faults.append(f"{name}, row {line}: rows must differ, but this repeats row {first}. Delete one of them.")
        else:
            rows.append((line, dict(zip(columns, values, strict=True))))
    return Table(name, columns, tuple(rows), tuple(faults))


def _refused(name: str, fault: str) -> Table:
    return Table(name, (), (), (fault,))


_NAMED: Final = re.compile(r"s(0|[1-9][0-9]{0,8})")  # as a submission must write it: s1, never s01


def species_of(submission: Table) -> tuple[tuple[int, ...], list[str]]:
    """Species ids in the order of the `sN` columns of sample_submission.csv, and the faults of its header."""
    if not submission.columns:
        return (), []
    rest = [column for column in submission.columns if column != "recording_id"]
    if strange := [column for column in rest if not _NAMED.fullmatch(column)]:
        rule = "columns beside recording_id must be s0, s1, ..."
        return (), [f"{submission.name}, row 1: {rule}, but got `{cut(strange[0])}`. Rename or delete it."]
    if len(rest) < 2:
        got = ", ".join(rest) or "none"
        rule = "at least two species columns s0, s1, ... must stand"
        return (), [f"{submission.name}, row 1: {rule}, but got {got}. Add them."]
    ids = tuple(int(column[1:]) for column in rest)
    if len(set(ids)) < len(ids):
        return (), [f"{submission.name}, row 1: species ids must differ, but got {', '.join(rest)}. Delete one."]
    return ids, []


def parse_boxes(table: Table, *, positive: bool, species: tuple[int, ...]) -> tuple[list[Box], list[str]]:
    """The rows of a TP or FP table as boxes, and a fault for each row that is none."""
    boxes: list[Box] = []
    faults: list[str] = []
    for line, row in table.rows:
        where = f"{table.name}, row {line}"
        numbers: dict[str, float] = {}
        wrong = list(_number_faults(where, row, numbers))
        if not wrong:
            wrong = list(_rule_faults(where, row, numbers, species))
        faults += wrong
        if not wrong:
            species_id, songtype_id = int(numbers["species_id"]), int(numbers["songtype_id"])
            t_min, f_min, t_max, f_max = (numbers[column] for column in BOX_COLUMNS[3:])
            boxes.append(Box(where, row["recording_id"], species_id, songtype_id, t_min, f_min, t_max, f_max, positive))
    return boxes, faults


def _number_faults(where: str, row: Mapping[str, str], numbers: dict[str, float]) -> Iterator[str]:
    for column in BOX_COLUMNS[1:]:
        try:
            numbers[column] = float(row[column])
            sound = math.isfinite(numbers[column]) and "_" not in row[column]  # Python reads 1_0 as ten
        except ValueError:
            sound = False
        if not sound:
            yield f"{where}: {column} must be a number, but got `{cut(row[column])}`. Correct the row or delete it."
        elif column.endswith("_id") and not numbers[column].is_integer():
            yield f"{where}: {column} must be a whole number, but got {cut(row[column])}. Correct the row or delete it."


def _rule_faults(
    where: str, row: Mapping[str, str], numbers: Mapping[str, float], species: tuple[int, ...]
) -> Iterator[str]:
    if species and numbers["species_id"] not in species:
        known = f"s{min(species)} to s{max(species)}" if len(species) > 6 else ", ".join(f"s{i}" for i in species)
        got = f"{cut(row['species_id'])} ({known} are known)"
        yield f"{where}: species_id must be a column of sample_submission.csv, but got {got}. Correct either file."
    for axis in ("t", "f"):
        low, high = f"{axis}_min", f"{axis}_max"
        if numbers[high] <= numbers[low]:
            got = f"{low}={numbers[low]:g}, {high}={numbers[high]:g}"
            yield f"{where}: {high} > {low} must hold, but got {got}. Correct the row or delete it."
        if numbers[low] < 0:
            yield f"{where}: {low} >= 0 must hold, but got {low}={numbers[low]:g}. Correct the row or delete it."
