"""Answers in a label track: known by number, whatever else was moved; and what must be mended."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfcx_model.errors import InputError
from study.label_track import ANSWERS, blank, read

SPANS = ((0.0, 8.192), (9.192, 17.384), (18.384, 20.0))


def answered(tmp_path: Path, text: str) -> tuple[str, ...]:
    path = tmp_path / "s3.txt"
    path.write_text(text, encoding="utf-8")
    return read(path, SPANS)


def test_a_blank_track_has_a_line_a_window_and_no_answer(tmp_path: Path) -> None:
    assert blank(SPANS).splitlines()[1] == "9.192000\t17.384000\t2 ?"
    assert answered(tmp_path, blank(SPANS)) == ("?", "?", "?")


@given(answers=st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=8), data=st.data())
def test_answers_are_found_by_number_in_any_order_and_at_any_time(
    answers: list[str], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [f"{data.draw(st.floats(0, 99))}\t0\t{k} {answer}" for k, answer in enumerate(answers, start=1)]
    path = tmp_path_factory.mktemp("track") / "s3.txt"
    path.write_text("\n".join(data.draw(st.permutations(rows))))
    assert read(path, [(0.0, 1.0)] * len(answers)) == tuple(answers)


def test_what_audacity_and_editors_add_is_passed_over(tmp_path: Path) -> None:
    text = "\ufeff0.0\t8.2\t1 Y\r\n\\\t100.0\t200.0\r\n\r\n9.2\t17.4\t 2  n \r\n18.4\t20.0\t3 u"
    assert answered(tmp_path, text) == ("y", "n", "u")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0\t1\t1 y\n0\t1\t2 maybe\n0\t1\t3 n\n", r"s3.txt, line 2: a label is .* such as `12 y`, but got `2 maybe`"),
        ("0\t1\t1 y\n0\t1\t2\n0\t1\t3 n\n", r"s3.txt, line 2: .* but got `2`"),
        ("0\t1\t1 y\n0\t1\t\n0\t1\t3 n\n", r"s3.txt, line 2: .* but got no label"),
        ("0 1 1 y\n", r"s3.txt, line 1: .* but got no tabs"),
        ("0\t1\t1 y\n0\t1\t2 y\n0\t1\t7 n\n", r"s3.txt, line 3: the windows are numbered 1 to 3, but got 7"),
        ("0\t1\t1 y\n0\t1\t0 y\n", r"s3.txt, line 2: the windows are numbered 1 to 3, but got 0"),
        ("0\t1\t1 y\n0\t1\t2 y\n0\t1\t1 n\n", r"s3.txt, line 3: a window has one label, but 1 stands in line 1 too"),
        ("0\t1\t1 y\n0\t1\t3 n\n", "s3.txt: every drawn window has a label, but 2 has none. Add this line"),
        ("", "but 1 has none"),
    ],
)
def test_a_track_that_was_edited_badly_is_refused_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        answered(tmp_path, text)


def test_a_lost_line_is_told_so_that_it_can_be_put_back(tmp_path: Path) -> None:
    lines = blank(SPANS).splitlines()
    with pytest.raises(InputError) as refused:
        answered(tmp_path, "\n".join([lines[0], lines[2]]))
    assert str(refused.value).splitlines()[1] == lines[1]
    assert answered(tmp_path, "\n".join([lines[0], lines[2], lines[1]])) == ("?", "?", "?")


def test_a_track_that_is_gone_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"s9.txt: no such file or directory\. Export"):
        read(tmp_path / "s9.txt", SPANS)
    (tmp_path / "s8.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"s8.txt: is not text in UTF-8"):
        read(tmp_path / "s8.txt", SPANS)
