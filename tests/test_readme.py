"""What pages, spaces and help show is what the program takes, and links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from study import space
from study.__main__ import app
from study.machine import parse_settings

ROOT = Path(__file__).parents[1]
GROUP = typer.main.get_command(app)
assert isinstance(GROUP, TyperGroup)
COMMANDS = GROUP.commands
VERBS = sorted(COMMANDS)


def shown(text: str) -> list[list[str]]:
    """Commands in blocks of code or between backticks, line by line; what goes on behind a backslash is one line."""
    joined = re.sub(r"\s*\\\n[#\s]*", " ", text)
    found = re.findall(r"(?:^|[`#(]|uv run|-m study)\s*(?:uv run )?rfcx-study ([a-z][^`\n]*)", joined, re.MULTILINE)
    commands = [shlex.split(one.replace("$(", "").replace("…", ""), comments=True) for one in found]
    return [list(words) for words in dict.fromkeys(tuple(words) for words in commands if len(words) > 1)]


def parsed(words: list[str]) -> dict[str, Any]:
    return dict(COMMANDS[words[0]].make_context(words[0], words[1:]).params)


PAGES = [ROOT / "README.md", *(ROOT / name / "README.md" for name in ("study", "rfcx_model", "search_spaces"))]
README = [one for page in PAGES for one in shown(page.read_text(encoding="utf-8"))]
SPACES = [one for path in (ROOT / "search_spaces").glob("*.toml") for one in shown(path.read_text(encoding="utf-8"))]


def test_commands_are_found() -> None:
    assert {"run", "confirm", "compare", "export", "train", "predict", "audit", "score"} <= {one[0] for one in README}
    assert len(SPACES) >= 2


@pytest.mark.parametrize("words", [*README, *SPACES], ids=" ".join)
def test_a_shown_command_is_taken(words: list[str]) -> None:
    assert words[0] in VERBS
    told = parsed(words)
    if words[1].endswith(".toml"):
        space.load(ROOT / words[1], parse_settings(told.get("settings") or []))


def anchors(page: Path) -> set[str]:
    """As GitHub names the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8"))
    for name, anchor in links:
        target = page.parent / name
        target = target / "README.md" if target.is_dir() else target
        assert target.exists(), name
        assert not anchor or anchor in anchors(target), (name, anchor)


def test_the_readme_is_read_in_five_minutes() -> None:
    text = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(text.split()) <= 1250  # 250 words a minute


def test_the_modules_pages_name_every_module() -> None:
    for package in ("study", "rfcx_model"):
        told = (ROOT / package / "README.md").read_text(encoding="utf-8") + (ROOT / package / "__init__.py").read_text()
        modules = [path.stem for path in (ROOT / package).glob("*.py") if path.stem != "__init__"]
        missing = [one for one in modules if not re.search(rf"\b{one}\b", told)]
        assert not missing, (package, missing)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_s_help_has_an_example_that_it_takes(verb: str) -> None:
    told = COMMANDS[verb].help or ""
    examples = re.findall(r"Example: rfcx-study (.*)", told)
    assert examples, verb
    for one in examples:
        words = shlex.split(one)
        assert words[0] == verb
        parsed(words)
