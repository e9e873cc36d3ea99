"""An early look leaves less to the last, the same one again costs nothing, more after the last is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rfcx_model.errors import InputError
from study.looks import LOOKS, look, read_looks


def test_one_look_at_all_replicates_spends_all_of_alpha(tmp_path: Path) -> None:
    now, total = look(tmp_path, range(10), 10)
    assert (now.level, now.alpha, total) == pytest.approx((0.05, 0.05, 0.05))
    assert now.final


def test_an_early_look_leaves_the_last_one_the_rest(tmp_path: Path) -> None:
    early, _ = look(tmp_path, range(10), 5)
    last, total = look(tmp_path, range(10), 10)
    assert (early.alpha, early.level) == pytest.approx((0.00305, 0.00305), abs=1e-5)
    assert last.level == pytest.approx(0.0490, abs=1e-4)  # published: |Z| > 1.969
    assert early.alpha + last.alpha == pytest.approx(0.05)
    assert total == pytest.approx(0.05)


def test_the_same_replicates_again_spend_nothing(tmp_path: Path) -> None:
    first = look(tmp_path, range(10), 5)
    written = (tmp_path / LOOKS).read_text()
    assert look(tmp_path, range(10), 5) == first
    assert (tmp_path / LOOKS).read_text() == written
    assert json.loads(written)["seen"] == 5
    assert len(written) < 120, "no digits of how the spending is searched for"


def test_more_replicates_declared_after_the_last_look_spend_more_than_five_per_cent(tmp_path: Path) -> None:
    look(tmp_path, range(5), 5)
    assert look(tmp_path, range(10), 5)[0].seen == 5
    last, total = look(tmp_path, range(10), 10)
    assert last.level == pytest.approx(0.05)
    assert total == pytest.approx(0.0831, abs=5e-4)


def test_more_declared_before_the_last_look_still_keep_to_five_per_cent(tmp_path: Path) -> None:
    look(tmp_path, range(10), 8)
    _, total = look(tmp_path, range(20), 20)
    assert total == pytest.approx(0.05)


def test_a_grid_and_a_confirmation_are_looked_at_apart(tmp_path: Path) -> None:
    look(tmp_path, range(5), 5)
    _, total = look(tmp_path, range(5, 15), 10)
    assert total == pytest.approx(0.05)


def test_half_a_line_was_never_told(tmp_path: Path) -> None:
    now, _ = look(tmp_path, range(10), 5)
    with (tmp_path / LOOKS).open("a") as file:
        file.write('{"v": 1, "decl')
    last, _ = look(tmp_path, range(10), 10)
    assert read_looks(tmp_path) == [now, last]


def test_a_damaged_line_is_refused(tmp_path: Path) -> None:
    look(tmp_path, range(5), 5)
    with (tmp_path / LOOKS).open("a") as file:
        file.write("half a li\n")
    with pytest.raises(InputError, match=r"looks\.jsonl, line 2: must tell first, declared, seen"):
        read_looks(tmp_path)
