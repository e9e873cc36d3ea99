"""Archives of arrays, whole and not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from study.npz_file import read_arrays


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    np.savez_compressed(tmp_path / "kept.npz", a=np.arange(5), b=np.eye(2))
    return tmp_path / "kept.npz"


def test_arrays_come_in_the_order_asked_for(kept: Path) -> None:
    b, a = read_arrays(kept, "b", "a")
    np.testing.assert_array_equal(a, np.arange(5))
    np.testing.assert_array_equal(b, np.eye(2))


def test_whatever_byte_is_another_it_is_read_or_refused(kept: Path) -> None:
    whole, refused = kept.read_bytes(), 0
    for place in range(0, len(whole), 2):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_arrays(kept, "a", "b")
        except (OSError, ValueError):
            refused += 1
    assert refused > len(whole) / 4  # every second was tried, most are needed


def test_wherever_it_is_cut_it_is_refused(kept: Path) -> None:
    whole = kept.read_bytes()
    for length in range(0, len(whole), 7):
        kept.write_bytes(whole[:length])
        with pytest.raises((OSError, ValueError)):
            read_arrays(kept, "a", "b")


def test_objects_are_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "kept.npz", a=np.array([{"any": "object"}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_arrays(tmp_path / "kept.npz", "a")


def test_what_is_missing_is_told_apart(kept: Path) -> None:
    with pytest.raises(ValueError, match="must hold whole arrays"):
        read_arrays(kept, "c")
    with pytest.raises(FileNotFoundError):
        read_arrays(kept.with_name("other.npz"), "a")
