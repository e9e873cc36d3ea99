"""The command line: help that is quick, exit codes, and one clear message for each thing a user can get wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import typer
from tiny import write_folder

from study import __main__ as main_module
from study.__main__ import app, main
from study.trials import LostLedgerError

ROOT = Path(__file__).parent.parent
VERBS = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
LITTLE = """
[scientific]
"stage3.mixup_site" = { choices = ["none", "input"] }
[fixed]
"network.backbone" = "test_resnet"
"network.pretrained" = "none"
"frontend.sample_rate_hz" = 8000
"frontend.f_max_hz" = 4000.0
"frontend.n_fft" = 256
"frontend.hop_length" = 128
"frontend.n_mels" = 16
[search]
folds = 2
"""


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    def refuses(self, *words: str) -> None:
        """Exit code 2, one or two lines on stderr that hold these words, and no traceback."""
        said = [line for line in self.err.splitlines() if line and not re.match(r"\w+: \d+/\d+", line)]
        assert self.code == 2, self
        assert 1 <= len(said) <= 2, self
        assert "Traceback" not in self.err + self.out
        for word in words:
            assert word in self.err


Call = Callable[..., Answer]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Call]:
    """Give a command in an empty folder, in this process, and take what came of it."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "fonts"))
    before = dict(os.environ)

    def called(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["rfcx-study", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        read = capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Answer(code or 0, read.out, read.err)

    yield called
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def made(place: Path) -> list[str]:
    """All files below the folder in which the command was given, locks and works included."""
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def space(folder: Path, text: str = LITTLE) -> Path:
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(call: Call, verb: str) -> None:
    answer = call(verb, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert f"Example: rfcx-study {verb}" in " ".join(answer.out.split())


def test_help_of_all_names_every_verb(call: Call) -> None:
    answer = call("--help")
    assert answer.code == 0
    for verb in VERBS:
        assert re.search(rf"^\s+{verb}\s", answer.out, re.MULTILINE), verb


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
import time
from study.__main__ import app
try:
    app(["run", "--help"])
except SystemExit:
    pass
heavy = {"torch", "ray", "pandas", "numpy", "optuna", "matplotlib", "librosa", "sklearn", "scipy", "timm"}
print("HEAVY", *sorted(heavy & set(sys.modules)))
"""
    asked = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert asked.stdout.splitlines()[-1] == "HEAVY"


def test_prepare_imports_no_network_and_no_search(tmp_path: Path) -> None:
    write_folder(tmp_path / "data")
    code = """
import sys
from study.__main__ import app
try:
    app(sys.argv[1:])
except SystemExit:
    pass
heavy = {"ray", "optuna", "timm", "torchvision", "matplotlib"}
print("HEAVY", *sorted(heavy & set(sys.modules)))
"""
    words = ["prepare", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]
    asked = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    made, last = asked.stdout.splitlines()[-2:]
    assert Path(made, "cells.npy").is_file()
    assert last == "HEAVY"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dance"], "No such command 'dance'"),
        (["run"], "SPACE must be given"),
        (["run", "space.toml"], "--data must be given"),
        (["run", "space.toml", "--data", "d", "--dance"], "there is no option --dance"),
        (
            ["run", "space.toml", "--data", "d", "--trials", "0"],
            "--trials must be greater than or equal to 1, but got '0'",
        ),
        (["run", "space.toml", "--data", "d", "--trials", "many"], "--trials must be a whole number, but got 'many'"),
        (["check", "d", "--folds", "1"], "--folds must be greater than or equal to 2, but got '1'"),
    ],
)
def test_a_wrong_call_is_refused_with_the_way_out(call: Call, words: list[str], said: str) -> None:
    answer = call(*words)
    assert answer.code == 2
    assert said in answer.err
    assert "--help" in answer.err
    assert "Traceback" not in answer.err


def test_no_verb_at_all_shows_the_help(call: Call) -> None:
    answer = call()
    assert answer.code == 2
    assert "Usage" in answer.out + answer.err


def test_a_sound_folder_passes(call: Call, shared_tiny_folder: Path) -> None:
    answer = call("check", shared_tiny_folder, "--folds", 2)
    assert (answer.code, answer.err) == (0, "")
    assert f"{shared_tiny_folder} is sound" in answer.out
    answer = call("check", shared_tiny_folder, "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["sound"] is True


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def no_folder(data: Path) -> None:
    shutil.rmtree(data)


def no_table(data: Path) -> None:
    (data / "train_fp.csv").unlink()


def no_column(data: Path) -> None:
    edit(data / "train_tp.csv", ",t_min,", ",start,")


def unknown_species(data: Path) -> None:
    edit(data / "train_tp.csv", "train003,0,1", "train003,17,1")


def swapped_times(data: Path) -> None:
    edit(data / "train_tp.csv", "train003,0,1,1.25,300.0,2.25", "train003,0,1,2.25,300.0,1.25")


def no_file(data: Path) -> None:
    (data / "train" / "train003.flac").unlink()


def broken_file(data: Path) -> None:
    (data / "train" / "train003.flac").write_bytes(b"no sound at all")


def empty_file(data: Path) -> None:
    (data / "train" / "train003.flac").write_bytes(b"")


def silent_file(data: Path) -> None:
    soundfile.write(data / "train" / "train003.flac", np.zeros(0), 8000)


def doubled_row(data: Path) -> None:
    path = data / "train_tp.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[4]]) + "\n")


def no_number(data: Path) -> None:
    edit(data / "train_tp.csv", "train003,0,1,1.25", "train003,0,1,soon")


FAULTS = [
    (no_folder, ["tiny", "none"]),
    (no_table, ["train_fp.csv"]),
    (no_column, ["train_tp.csv", "t_min"]),
    (unknown_species, ["train_tp.csv, row 5", "17"]),
    (swapped_times, ["train_tp.csv, row 5", "t_max > t_min", "t_min=2.25, t_max=1.25"]),
    (no_file, ["train_tp.csv, row 5", "train003", "missing"]),
    (broken_file, ["train003.flac"]),
    (empty_file, ["train003.flac"]),
    (silent_file, ["train003.flac"]),
    (doubled_row, ["train_tp.csv, row 14", "row 5"]),
    (no_number, ["train_tp.csv, row 5", "t_min", "soon"]),
]


@pytest.mark.parametrize(("spoil", "said"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_unsound_data_is_refused_by_every_verb_that_reads_it(
    call: Call, tiny_folder: Path, tmp_path: Path, spoil: Callable[[Path], None], said: list[str]
) -> None:
    spoil(tiny_folder)
    asked = space(tmp_path)
    call("check", tiny_folder).refuses(*said)
    call("run", asked, "--data", tiny_folder).refuses("rfcx-study: ", *said)
    call("plan", asked, "--data", tiny_folder).refuses("rfcx-study: ", *said)
    call("prepare", tiny_folder).refuses("rfcx-study: ", *said)
    assert made(Path.cwd()) == []
    assert list(Path.cwd().iterdir()) == []


def test_check_tells_every_fault_as_json_too(call: Call, tiny_folder: Path) -> None:
    unknown_species(tiny_folder)
    no_table(tiny_folder)
    answer = call("check", tiny_folder, "--json")
    assert answer.code == 2
    told = json.loads(answer.out)
    assert told["sound"] is False
    assert len(told["faults"]) == 2


def test_a_sound_file_that_is_cut_short_is_named_and_leaves_no_half_cache(
    call: Call, tiny_folder: Path, tmp_path: Path
) -> None:
    path = tiny_folder / "train" / "train003.flac"
    path.write_bytes(path.read_bytes()[:20_000])
    call("prepare", tiny_folder, "--space", space(tmp_path)).refuses("train003.flac")
    assert made(Path.cwd()) == []


def test_prepare_is_done_once(call: Call, shared_tiny_folder: Path, tmp_path: Path) -> None:
    asked = space(tmp_path)
    first = call("prepare", shared_tiny_folder, "--space", asked)
    assert first.code == 0
    assert "spectrograms: 12/12" in first.err
    files = {path: (Path.cwd() / path).stat().st_mtime_ns for path in made(Path.cwd())}
    assert call("prepare", shared_tiny_folder, "--space", asked).out == first.out
    assert files == {path: (Path.cwd() / path).stat().st_mtime_ns for path in made(Path.cwd())}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            LITTLE + '[nuisance]\n"stage3.focal_gama" = { low = 0.0, high = 1.0 }\n',
            ["focal_gama", "Did you mean `focal_gamma`?"],
        ),
        (
            LITTLE + '[nuisance]\n"stage3.mixup_alpha" = { low = 0.4, high = 0.1 }\n',
            ["`stage3.mixup_alpha`", "low < high must hold, but got low=0.4, high=0.1"],
        ),
        (LITTLE.replace("= 2", "= two"), ["space.toml"]),
        (LITTLE + "[seearch]\n", ["seearch"]),
        ("", ["space.toml"]),
    ],
)
def test_an_unsound_space_is_refused(
    call: Call, shared_tiny_folder: Path, tmp_path: Path, text: str, said: list[str]
) -> None:
    asked = space(tmp_path, text)
    for words in (["run", asked, "--data", shared_tiny_folder], ["plan", asked, "--data", shared_tiny_folder]):
        call(*words).refuses("space.toml", *said)
    assert made(Path.cwd()) == []


ARM = """
[[arm]]
regime = "{}"
stage3 = {{ {} }}
"""
FIXED = LITTLE[LITTLE.index("[fixed]") :]
GRID = FIXED + 'sampler = "grid"\nscheduler = "none"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LITTLE.replace("[search]", "stage2.epochs = 0\n[search]"), ["[fixed]: stage3.pseudo_threshold < 1 needs"]),
        (LITTLE.replace("[search]", 'stage3.teacher_scheme = "nested"\n[search]'), ["folds=2", "Ask for 3 folds"]),
        (LITTLE.replace("[search]", 'stage3.teacher_scheme = "diary"\n[search]'), ["cannot lead a search"]),
        (
            LITTLE + "[nuisance]\nstage3.mixup_alpha = { low = 0.1, high = 1.0 }\n",
            ["does nothing there", 'when = { "stage3.mixup_site" = ["input"] }'],
        ),
        (ARM.format("a", 'mixup_sit = "input"') + GRID, ["[[arm]] 1: `mixup_sit`", "Did you mean `mixup_site`?"]),
        (ARM.format("a", 'mixup_site = "none", mixup_alpha = 0.2') + GRID, ["[[arm]] 1 (a)", "does nothing while"]),
        (ARM.format("a", 'mixup_site = "input"') + FIXED, ["[[arm]] needs [search] sampler = 'grid'"]),
        (ARM.format("", 'mixup_site = "input"') + GRID, ["[[arm]] 1: regime must be a name"]),
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused(
    call: Call, shared_tiny_folder: Path, tmp_path: Path, text: str, said: list[str]
) -> None:
    call("run", space(tmp_path, text), "--data", shared_tiny_folder).refuses(*said)
    assert not [path for path in made(Path.cwd()) if path.startswith("studies")]


def test_a_space_that_is_not_there_is_refused(call: Call, shared_tiny_folder: Path) -> None:
    call("run", "nowhere.toml", "--data", shared_tiny_folder).refuses("nowhere.toml", "search_spaces/")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("stage3.focal_gama=1", ["focal_gama", "Did you mean"]),
        ("stage3.focal_gamma=-1", ["stage3.focal_gamma"]),
        ("stage3.focal_gamma", ["--set stage3.focal_gamma", "KNOB=VALUE"]),
        ("stage2.epochs=0", ["--set stage2.epochs=0", "stage3.pseudo_threshold < 1 needs teachers"]),
        ("stage3.mixup_site=none", ["--set stage3.mixup_site", "searches this knob"]),
        ("serach.folds=3", ["`serach`", "Did you mean `search`?"]),
    ],
)
def test_an_unsound_setting_is_refused(
    call: Call, shared_tiny_folder: Path, tmp_path: Path, setting: str, said: list[str]
) -> None:
    call("run", space(tmp_path), "--data", shared_tiny_folder, "--set", setting).refuses(*said)


def test_a_gpu_that_is_not_there_is_refused(call: Call, shared_tiny_folder: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    asked = space(tmp_path, LITTLE + "[resources]\ngpus = 1\n")
    call("run", asked, "--data", shared_tiny_folder).refuses("space.toml", "gpus = 1", "no GPU", "Leave gpus out")
    assert made(Path.cwd()) == []


@pytest.mark.parametrize("option", ["--out", "--store"])
def test_a_storage_address_is_refused(call: Call, shared_tiny_folder: Path, tmp_path: Path, option: str) -> None:
    answer = call("run", space(tmp_path), "--data", shared_tiny_folder, option, "s3://bucket/x")
    answer.refuses("s3://bucket/x", "not a storage address", "Mount it first")


def test_an_address_where_no_cluster_answers_is_refused(call: Call, shared_tiny_folder: Path, tmp_path: Path) -> None:
    answer = call("run", space(tmp_path), "--data", shared_tiny_folder, "--address", "127.0.0.1:1")
    answer.refuses("--address 127.0.0.1:1", "no Ray cluster answers", "ray start --head")
    assert made(Path.cwd()) == []


def test_a_path_that_cannot_be_written_is_told_without_a_traceback(
    call: Call, shared_tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    call("prepare", shared_tiny_folder, "--cache", tmp_path / "file" / "x").refuses("file", "Give another path")


@pytest.mark.parametrize(
    "words",
    [
        ["report", "nowhere"],
        ["export", "nowhere", "--to", "bundle"],
        ["train", "nowhere", "--data", "DATA", "--to", "model"],
        ["predict", "nowhere", "--data", "DATA", "--to", "submission.csv"],
        ["score", "nowhere", "nowhere"],
    ],
)
def test_what_is_not_there_is_named(call: Call, shared_tiny_folder: Path, words: list[str]) -> None:
    call(*[str(shared_tiny_folder) if word == "DATA" else word for word in words]).refuses("nowhere")
    assert made(Path.cwd()) == []


def test_a_damaged_ledger_is_refused_with_its_line(call: Call, tmp_path: Path) -> None:
    from made_study import make_study

    folder = make_study(tmp_path / "study")
    with (folder / "trials.jsonl").open("a") as file:
        file.write("not an event\n")
    call("report", folder).refuses("trials.jsonl, line", "not a ledger event")


def interrupted() -> None:
    raise KeyboardInterrupt


def told_to_end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5.0)


def lost() -> None:
    raise LostLedgerError("studies/x/trials.jsonl: was removed")


def refused() -> None:
    raise typer.Exit(2)


def full() -> None:
    raise OSError(28, "No space left on device", "studies/x")


def broken() -> None:
    raise ZeroDivisionError("a defect")


@pytest.mark.parametrize(
    ("verb", "code", "said"),
    [
        (interrupted, 130, "interrupted\n"),
        (told_to_end, 130, "interrupted\n"),
        (refused, 2, ""),
        (lost, 1, "rfcx-study: studies/x/trials.jsonl: was removed\n"),
        (full, 1, "studies/x: No space left on device"),
    ],
)
def test_every_end_has_its_exit_code(
    call: Call, monkeypatch: pytest.MonkeyPatch, verb: Callable[[], None], code: int, said: str
) -> None:
    little = typer.Typer()
    little.command()(verb)
    monkeypatch.setattr(main_module, "app", little)
    answer = call()
    assert answer.code == code
    assert said in answer.err


@pytest.mark.parametrize("verb", ["prepare", "run", "confirm", "train", "predict"])
def test_a_verb_that_resumes_ends_with_the_call_that_goes_on(
    call: Call, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    def stopped(where: str) -> None:
        raise KeyboardInterrupt

    little = typer.Typer()
    little.command(verb)(stopped)
    little.command("other")(stopped)
    monkeypatch.setattr(main_module, "app", little)
    for by_uv, how in ((False, ""), (True, "uv run ")):
        monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
        if by_uv:
            monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
        answer = call(verb, "my data")
        assert answer.code == 130
        assert answer.err == f"interrupted; the same call goes on where it was: {how}rfcx-study {verb} 'my data'\n"


def test_knobs_are_listed(call: Call) -> None:
    answer = call("knobs", "stage3.mixup")
    assert answer.code == 0
    assert "stage3.mixup_site   " in answer.out
    told = json.loads(call("knobs", "--json").out)
    assert [group["name"] for group in told][:2] == ["frontend", "windows"]


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    little = typer.Typer(pretty_exceptions_enable=False)
    little.command()(broken)
    monkeypatch.setattr(main_module, "app", little)
    monkeypatch.setattr(sys, "argv", ["rfcx-study"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_a_failed_run_exits_with_1(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from rfcx_model.errors import RunError

    def failing() -> None:
        raise RunError("a shared stage failed: MemoryError")

    little = typer.Typer()
    little.command()(failing)
    monkeypatch.setattr(main_module, "app", little)
    answer = call()
    assert (answer.code, answer.err) == (1, "rfcx-study: a shared stage failed: MemoryError\n")
