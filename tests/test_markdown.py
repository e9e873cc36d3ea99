"""Names that others wrote stay names, in sentences and in cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study import markdown
from study.prose import code, numbers, parts, plain
from study.tables import Table


def test_what_stands_between_backticks_is_code_and_a_name_with_backticks_is_a_name() -> None:
    sentence = f"By {code('a`b')}: {plain('`x`')} wins."
    assert parts(sentence) == [(False, "By "), (True, "a`b"), (False, ": `x` wins.")]


def test_a_backtick_without_a_partner_is_text() -> None:
    assert parts("a ` b") == [(False, "a ` b")]
    assert parts("`a` b ` c") == [(True, "a"), (False, " b ` c")]


@given(st.text("ab `", max_size=12))
def test_no_letter_of_a_name_is_lost(name: str) -> None:
    assert "".join(text for _is_code, text in parts(f"By {code(name)}, {plain(name)}.")) == f"By {name}, {name}."


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("<script>", "&lt;script&gt;"),
        ("a|b", "a\\|b"),
        ("`x`", "\\`x\\`"),
        ("![i](http://x) [a][b] [a]: c", "![i\\](http://x) [a\\][b] [a\\]: c"),
        ("[+0.005, +0.055], 3", "[+0.005, +0.055], 3"),
        ("*bold* _it_ ~~x~~", "\\*bold* \\_it\\_ \\~\\~x\\~\\~"),
        ("stage3.mixup_site", "stage3.mixup_site"),
        ("a\nb", "a b"),
        ("&lt;", "&amp;lt;"),
        ("**x** 0.5**", "\\*\\*x** 0.5**"),
        ("$x$", "\\$x\\$"),
    ],
)
def test_a_cell_shows_every_character_as_it_stands(text: str, safe: str) -> None:
    assert markdown.cell(text) == safe


@pytest.mark.parametrize(
    ("text", "safe"), [("# x", "\\# x"), ("- x", "\\- x"), ("1. x", "1\\. x"), ("3 of 4", "3 of 4")]
)
def test_a_line_is_no_heading_and_no_list(text: str, safe: str) -> None:
    assert markdown.line(text) == safe


def test_code_in_a_sentence_stays_code_unless_markup_stands_in_it() -> None:
    assert markdown.sentence("By `stage3.mixup_site`: `a*b` 0.5.") == "By `stage3.mixup_site`: `a*b` 0.5."
    assert markdown.sentence(f"By {code('<b>`|')}.") == "By &lt;b&gt;\\`\\|."
    assert markdown.sentence("`x` first") == "`x` first"
    assert markdown.sentence("") == ""


def test_a_table_has_as_many_columns_in_every_row_whatever_stands_in_it() -> None:
    text = markdown.table(Table(("a|b", "c"), (("`|`", "x\n|y"),)))
    rows = [row.replace("\\|", "") for row in text.splitlines()]
    assert [row.count("|") for row in rows] == [3, 3, 3]


def test_long_lists_of_trials_are_cut() -> None:
    assert numbers([1, 2, 3]) == "1, 2, 3"
    assert numbers(list(range(12))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
