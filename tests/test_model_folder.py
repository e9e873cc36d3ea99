"""A model's folder: nothing is used unchecked, nothing outside it is read, and it brings its own mel basis."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import KNOBS
from untrained_model import change_config, trust, write_model

from rfcx_model import compute, network, predict, spectrogram
from rfcx_model.errors import InputError, RunError
from rfcx_model.hyperparameters import build
from study import model_folder
from study.model_folder import FRONT_END, load_model

FRONTEND = build(KNOBS).frontend


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def test_a_model_hears_with_the_basis_that_it_brings_and_others_are_left_alone(
    model: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    sound, place = tiny_folder / "test" / "test000.flac", compute.best()
    h = build(KNOBS)

    np.testing.assert_array_equal(load_model(model).mel_basis, spectrogram.mel_basis(FRONTEND))
    other = write_model(tmp_path / "other")
    basis = load_file(other / FRONT_END)["mel_basis"]
    basis[: len(basis) // 2] = 0.0  # it hears the upper half of the band alone
    save_file({"mel_basis": basis}, other / FRONT_END)
    with pytest.raises(InputError, match="content is not what was written"):
        load_model(other)
    trust(other, FRONT_END)
    plain, deaf = load_model(model), load_model(other)
    audio = spectrogram.read_audio(sound, FRONTEND.sample_rate_hz)
    told = spectrogram.log_mel(audio, FRONTEND, deaf.mel_basis)
    half = FRONTEND.n_mels // 2
    np.testing.assert_allclose(told[:, :half], -100.0, atol=1e-4)
    np.testing.assert_array_equal(told[:, half:], spectrogram.log_mel(audio, FRONTEND)[:, half:])
    (ours,), (theirs,) = (list(predict.scores(one, [sound], place)) for one in (plain, deaf))
    expected = predict.score_recording(plain, predict.hear(sound, h, place), place)
    assert not isinstance(ours, InputError)
    assert not isinstance(theirs, InputError)
    np.testing.assert_array_equal(ours, expected)  # with librosa's, though another model was loaded since
    assert not np.array_equal(ours, theirs)


@pytest.mark.parametrize("basis", [torch.zeros(3, 4), torch.zeros(32, 129, dtype=torch.float64)])
def test_a_basis_of_another_front_end_is_refused(model: Path, basis: torch.Tensor) -> None:
    save_file({"mel_basis": basis}, model / FRONT_END)
    trust(model, FRONT_END)
    with pytest.raises(InputError, match=r"it must hold mel_basis \(32, 129\) of float32"):
        load_model(model)


def test_detecting_calls_imports_only_what_it_needs(model: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "import study.field\n"
        "from rfcx_model.spectrogram import log_mel\n"
        "model = study.field.load_model(Path(sys.argv[1]))\n"
        "log_mel(np.zeros(8000, np.float32), model.hyperparameters.frontend, model.mel_basis)\n"
        "unneeded = {'librosa', 'numba', 'ray', 'optuna', 'pandas', 'sklearn'}\n"
        "print(sorted(unneeded & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/file", "x" * 5000], ids=lambda name: name[:20])
def test_a_file_outside_the_folder_is_not_read(model: Path, name: str) -> None:
    hashes = json.loads((model / "config.json").read_text())["sha256"]
    change_config(model, sha256={**hashes, name: "ab"})
    with pytest.raises(InputError, match="a model's files stand in its folder, but got"):
        load_model(model)


@pytest.mark.parametrize("folds", [0, -1, "two", None, 1e300, 10**12])
def test_a_number_of_folds_that_is_none_is_refused(model: Path, folds: object) -> None:
    change_config(model, folds=folds)
    with pytest.raises(InputError, match=r"config.json: .*fold.*Train the model again"):
        load_model(model)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be JSON, but is none from line 1, column 1 on"),
        ("[]", "must be a JSON object, but got list"),
        ("null", "must be a JSON object, but got NoneType"),
        ("[" * 200_000, "must be JSON that can be read, but goes too far"),
        ("{}", "not a model folder. Make one with `rfcx-study train`"),
        ('{"format": 2}', "not a model folder. Make one with `rfcx-study train`"),
    ],
    ids=lambda text: text[:20],
)
def test_a_config_that_is_none_is_refused(model: Path, text: str, said: str) -> None:
    (model / "config.json").write_text(text)
    with pytest.raises(InputError, match=re.escape(said)):
        load_model(model)


def test_a_config_of_an_older_format_is_refused_by_its_number(model: Path) -> None:
    change_config(model, format=1)
    with pytest.raises(InputError, match="reads models of format 2, but got 1"):
        load_model(model)


@pytest.mark.parametrize("change", [("ruler.hop_s", 0.5), ("windows.normalise", "band_median")])
def test_a_config_that_was_edited_is_refused(model: Path, change: tuple[str, object]) -> None:
    path = model / "config.json"
    config = json.loads(path.read_text())
    config["hyperparameters"][change[0]] = change[1]
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config.json: its content is not what was written"):
        load_model(model)


def test_every_knob_must_be_there_and_within_its_limits(model: Path) -> None:
    knobs = json.loads((model / "config.json").read_text())["hyperparameters"]
    change_config(model, hyperparameters={name: value for name, value in knobs.items() if name != "ruler.hop_s"})
    with pytest.raises(InputError, match=r"every knob must be there, but ruler.hop_s is not"):
        load_model(model)
    change_config(model, hyperparameters={**knobs, "ruler.hops": 1})
    with pytest.raises(InputError, match=r"`ruler.hops` is not a knob of this program"):
        load_model(model)
    change_config(model, hyperparameters={**knobs, "ruler.hop_s": -1.0})
    with pytest.raises(InputError, match=r"`ruler.hop_s`"):
        load_model(model)


def test_priors_of_other_species_are_refused(model: Path) -> None:
    priors = {"source": "listed", "weight": 1.0, "log_prior": [0.5, -0.5], "plain": 0.6, "cross_fitted": 0.7}
    change_config(model, priors=priors)
    with pytest.raises(InputError, match="2 priors for 3 species"):
        load_model(model)
    change_config(model, priors={**priors, "weight": "much"})
    with pytest.raises(InputError, match=r"`priors.weight`"):
        load_model(model)


def test_weights_that_are_no_numbers_are_never_written(tmp_path: Path) -> None:
    h = build(KNOBS)
    weights = network.build(h.network, 3, seed=0).state_dict()
    weights["class_head.weight"][0, 0] = torch.nan
    with pytest.raises(RunError, match=r"weights must be numbers, but class_head.weight of model 0 holds nan or inf"):
        model_folder.write_model(tmp_path / "model", model_folder.Contents(h, (0, 1, 2), [weights]))
    assert not list(tmp_path.iterdir())


def test_a_species_table_that_is_none_is_refused(model: Path) -> None:
    for text in ("species\n1\n", f"species_id\n{'1' * 200_000}\n"):
        (model / "species.csv").write_text(text)
        trust(model, "species.csv")
        with pytest.raises(InputError, match="a column species_id of numbers is needed"):
            load_model(model)
