"""JSON files, and why some cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from rfcx_model.errors import InputError
from study.json_file import read_object


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "must be JSON, but is none from line 1, column 1 on"),
        (b'{"a": 1,\n "b" 2}', "must be JSON, but is none from line 2, column 6 on"),
        (b'{"a": "\xff"}', "must be UTF-8 text, but byte 7 is not"),
        (b"[" * 100_000, "must be JSON that can be read, but goes too far"),
        (b'{"a": ' + b"9" * 5000 + b"}", "must be JSON that can be read, but goes too far"),
        (b"[1]", "must be a JSON object, but got list"),
        (b"null", "must be a JSON object, but got NoneType"),
    ],
    ids=lambda part: repr(part)[:20],
)
def test_what_is_wrong_is_told_with_the_way_out(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as told:
        read_object(path, "Write it again.")
    assert str(told.value) == f"{path}: {said}. Write it again."


def test_an_object_comes_as_it_stands_and_a_missing_file_as_such(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text('{"a": [1, null]}')
    assert read_object(tmp_path / "file.json", "") == {"a": [1, None]}
    with pytest.raises(FileNotFoundError):
        read_object(tmp_path / "other.json", "")
    with pytest.raises(InputError, match="must be a file, but is a folder"):
        read_object(tmp_path, "")
