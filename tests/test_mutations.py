"""The faults that the mutation benchmark puts in: each kind, and what is left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mutations import mutants

ROOT = Path(__file__).parents[1]


def faults(*lines: str, head: str = "def f(a, b):") -> list[str]:
    """What each fault makes of the line that it changes."""
    source = "\n".join([head, *(f"    {line}" for line in lines)])
    return [one.after for one in mutants(source)]


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("return a < b", ["None", "a <= b", "a >= b"]),
        ("return a and not b", ["None", "a or not b", "a and b"]),
        ("return a + b", ["None", "a - b"]),
        ("return a ** 2", ["None", "a * 2", "a ** 3", "a ** 1"]),
        ("return a[:1]", ["None", "a[:]", "a[:2]", "a[:0]"]),
        ("return a if b else 0.5", ["None", "a if not b else 0.5", "a if b else 1.5", "a if b else 0.25"]),
        ("return max(a, b)", ["None", "min(a, b)"]),
        ("return a.sum(axis=1)", ["None", "a.sum(axis=0)"]),
        ("return a.sort(kind='stable')", ["None", "a.sort()", "a.sort(kind='stable?')"]),
        ("return [x for x in a if x]", ["None", "[x for x in a if True]"]),
        ("return True", ["None", "False"]),
        ("return None", []),
    ],
)
def test_each_kind_of_fault_is_made(line: str, made: list[str]) -> None:
    assert faults(line) == [f"return {one}" for one in made]


def test_statements_are_left_out_where_the_code_still_runs_without_them() -> None:
    assert faults("a[b] = a") == ["pass"]
    assert faults("print(a)") == ["pass"]
    assert faults("c = a", "c = b") == ["pass"]
    assert faults("a += b") == ["a -= b", "a = b", "pass"]
    assert faults("for c in a:", "    continue") == ["break", "pass"]
    assert faults("raise ValueError(f'{a} < 1')") == ["pass"]


def test_types_docstrings_decorators_and_what_an_error_says_are_left_alone() -> None:
    assert faults('"""Text."""', "import os", 'c: Literal["x"] = a', 'return f"{a}, 1"') == ["return None"]
    assert faults("raise ValueError('1', 2 < 3)") == ["pass"]
    assert faults("pass", head="@decorated(1)\ndef f(a: int, b: 'str') -> 'int':") == []


def test_a_fault_tells_its_function_and_what_it_names_where_it_is_in_none() -> None:
    source = "LIMIT = 1\nclass A:\n    one: int = 2\n    def f(self):\n        return self"
    told = [(one.where, one.inside, one.names) for one in mutants(source)]
    assert told == [("", False, ("LIMIT",))] * 2 + [("A", False, ())] * 2 + [("A.f", True, ())]


def test_every_fault_of_a_module_compiles_and_has_a_name_of_its_own() -> None:
    made = list(mutants((ROOT / "rfcx_model" / "metrics.py").read_text()))
    assert len(made) > 100
    assert len({one.key for one in made}) == len(made)
    for one in made:
        compile(one.source, "metrics.py", "exec")
        assert one.before != one.after


@pytest.mark.slow
def test_no_fault_in_the_objective_is_left_unnoticed() -> None:
    script = ROOT / "tests" / "benchmarks" / "mutants.py"
    told = subprocess.run(
        [sys.executable, script, "--modules", "study/objective.py"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "| study/objective.py | 62 | 62 | 0 | 0 |" in told.stdout
