"""The house: who may import whom, what stands at the top, and that nothing is loaded that could run code."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOP = {"study", "rfcx_model", "search_spaces", "tests", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"}
RAY = {
    "desk",
    "listed_searcher",
    "nodes",
    "place",
    "ray_session",
    "scheduler",
    "searcher",
    "stage_tasks",
    "trainable",
    "tune_events",
    "tuning",
}
OPTUNA = {"space", "searcher", "sampler", "optuna_journal"}
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "joblib", "jsonpickle", "marshal", "yaml"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """All that a module imports anywhere in it, with dots."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_there_are_modules_to_look_at() -> None:
    assert {"launch.py", "space.py"} <= {path.name for path in modules("study")}
    assert {"network.py", "train.py"} <= {path.name for path in modules("rfcx_model")}
    assert "ray" in roots(ROOT / "study" / "place.py")
    assert "timm" in roots(ROOT / "rfcx_model" / "network.py")


@pytest.mark.parametrize("path", modules("rfcx_model"), ids=lambda path: path.stem)
def test_the_model_knows_nothing_of_studies(path: Path) -> None:
    assert not roots(path) & {"study", "ray", "optuna", "tests"}
    if path.stem != "network":
        assert "timm" not in roots(path)


@pytest.mark.parametrize("path", modules("study"), ids=lambda path: path.stem)
def test_ray_optuna_and_timm_stay_where_they_belong(path: Path) -> None:
    assert "timm" not in roots(path)
    assert "tests" not in roots(path)
    if path.stem not in RAY:
        assert "ray" not in roots(path)
    if path.stem not in OPTUNA:
        assert "optuna" not in roots(path)


def test_the_top_level_holds_nothing_else() -> None:
    asked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.skip("not a git checkout")
    top = {name.partition("/")[0] for name in asked.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= TOP


@pytest.mark.parametrize("path", [*modules("study"), *modules("rfcx_model")], ids=lambda path: path.stem)
def test_nothing_that_is_loaded_can_run_code(path: Path) -> None:
    assert not roots(path) & UNPICKLERS
    for name, call in calls(path):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if name == "torch.load":
            weights_only = given.get("weights_only")
            assert isinstance(weights_only, ast.Constant)
            assert weights_only.value is True
        if "allow_pickle" in given:  # of any reader of arrays; numpy's own default is False
            allowed = given["allow_pickle"]
            assert isinstance(allowed, ast.Constant)
            assert allowed.value is False
        assert name not in {"eval", "exec", "pd.read_pickle", "pandas.read_pickle", "os.system"}
        assert "shell" not in given
        assert not name.endswith(("pickle.load", "pickle.loads", "yaml.load"))


@pytest.mark.parametrize("path", [*modules("study"), *modules("rfcx_model")], ids=lambda path: path.stem)
def test_names_say_what_stands_in_a_module(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "common", "base", "manager", "handler"}
    if path.name == "__init__.py":
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert len(tree.body) == 1
        assert ast.get_docstring(tree)
