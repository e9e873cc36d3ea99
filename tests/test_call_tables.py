"""Tables of calls: as the programs' manuals have them, and back again."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfcx_model.errors import InputError
from study.call_tables import Call, audacity, harmless, raven, read_raven, write_rows

CALLS = [Call(0.512, 1.536, 3, 0.75), Call(7_199.488, 7_200.0, 23, 1.0)]
micro = st.integers(0, 10**10).map(lambda one: one / 1e6)
some_calls = st.lists(st.builds(Call, micro, micro, st.integers(0, 99), st.integers(0, 10**6).map(lambda n: n / 1e6)))


def test_a_selection_table_as_raven_writes_it() -> None:
    head, first, _ = raven(CALLS, (0.0, 12_000.0)).splitlines()
    assert head.split("\t")[:7] == [
        "Selection",
        "View",
        "Channel",
        "Begin Time (s)",
        "End Time (s)",
        "Low Freq (Hz)",
        "High Freq (Hz)",
    ]
    assert first.split("\t") == ["1", "Spectrogram 1", "1", "0.512000", "1.536000", "0.0", "12000.0", "s3", "0.750000"]


def test_a_label_track_as_audacity_writes_it() -> None:
    assert audacity(CALLS) == "0.512000\t1.536000\ts3 0.750\n7199.488000\t7200.000000\ts23 1.000\n"


@given(calls=some_calls)
def test_selection_tables_come_back(calls: list[Call], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("raven") / "a.txt"
    path.write_text(raven(calls, (0.0, 16_000.0)))
    assert read_raven(path) == calls


def label_track(path: Path) -> list[tuple[float, float, str]]:
    """As Audacity's manual tells the standard format: start, end and text, divided by tabs."""
    lines = [line.split("\t", 2) for line in path.read_text().splitlines()]
    return [(float(start), float(end), text) for start, end, text in lines]


@given(calls=some_calls)
def test_label_tracks_come_back(calls: list[Call], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("audacity") / "a.txt"
    path.write_text(audacity(calls))
    assert label_track(path) == [(one.start_s, one.end_s, f"s{one.species} {one.score:.3f}") for one in calls]


def test_a_table_that_raven_has_saved_is_read_with_its_columns_in_another_order(tmp_path: Path) -> None:
    rows = ["Score\tSpecies\tNotes\tEnd Time (s)\tBegin Time (s)", '0.5\ts7\t"hm\t2.0\t1.0']
    (tmp_path / "a.txt").write_text("\r\n".join(rows) + "\r\n", newline="")
    assert read_raven(tmp_path / "a.txt") == [Call(1.0, 2.0, 7, 0.5)]


@pytest.mark.parametrize("text", ["Begin Time (s)\tSpecies\n1\ts2\n", "nothing\n1\n"])
def test_a_table_without_its_columns_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match="must be a selection table"):
        read_raven(tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["=1+1.wav", "@x.wav", "-2.wav", "+a.wav"])
def test_no_name_becomes_a_formula(name: str) -> None:
    assert harmless(name) == f"'{name}"


@given(name=st.text(min_size=1, max_size=40))
def test_any_name_is_one_cell_of_one_row(name: str) -> None:
    file = io.StringIO(newline="")
    write_rows(file, name, CALLS)
    rows = list(csv.reader(io.StringIO(file.getvalue(), newline="")))
    assert [row[1:] for row in rows] == [
        ["0.512000", "1.536000", "3", "0.750000"],
        ["7199.488000", "7200.000000", "23", "1.000000"],
    ]
    assert rows[0][0] == harmless(name)
    assert not {"\t", "\r", "\n"} & set(rows[0][0])
