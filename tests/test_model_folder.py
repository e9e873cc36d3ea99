"""A model's folder: nothing is used unchecked, nothing outside it is read, and it brings its own mel basis."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import KNOBS
from untrained_model import write_model

from rfcx_model import spectrogram
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import build
from study.model_folder import FRONT_END, digest, load_model, write_front_end

FRONTEND = build(KNOBS).frontend


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Path]:
    yield write_model(tmp_path / "model")
    spectrogram._given.clear()
    spectrogram.mel_basis.cache_clear()
    spectrogram._bands.cache_clear()


def change_config(model: Path, **facts: object) -> None:
    path = model / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def trust(model: Path, name: str) -> None:
    """Write down the hash of a file as it stands."""
    hashes = json.loads((model / "config.json").read_text())["sha256"]
    change_config(model, sha256={**hashes, name: digest(model / name)})


def test_a_model_hears_with_the_basis_that_it_brings(model: Path) -> None:
    audio = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    before = spectrogram.log_mel(audio, FRONTEND)
    write_front_end(model, FRONTEND)
    trust(model, FRONT_END)
    load_model(model)
    np.testing.assert_array_equal(spectrogram.log_mel(audio, FRONTEND), before)
    save_file({"mel_basis": 2.0 * load_file(model / FRONT_END)["mel_basis"]}, model / FRONT_END)
    with pytest.raises(InputError, match="content is not what was written"):
        load_model(model)
    trust(model, FRONT_END)
    load_model(model)
    np.testing.assert_allclose(spectrogram.log_mel(audio, FRONTEND), before + 10 * np.log10(2), atol=1e-3)


@pytest.mark.parametrize("basis", [torch.zeros(3, 4), torch.zeros(32, 129, dtype=torch.float64)])
def test_a_basis_of_another_front_end_is_refused(model: Path, basis: torch.Tensor) -> None:
    save_file({"mel_basis": basis}, model / FRONT_END)
    trust(model, FRONT_END)
    with pytest.raises(InputError, match=r"it must hold mel_basis \(32, 129\) of float32"):
        load_model(model)


def test_predicting_with_a_model_that_brings_its_basis_imports_neither_librosa_nor_ray(model: Path) -> None:
    write_front_end(model, FRONTEND)
    trust(model, FRONT_END)
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "import study.field, study.submission\n"
        "from rfcx_model.spectrogram import log_mel\n"
        "model = study.field.load_model(Path(sys.argv[1]))\n"
        "log_mel(np.zeros(8000, np.float32), model.hyperparameters.frontend)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'librosa', 'numba', 'ray', 'optuna'}))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/file"])
def test_a_file_outside_the_folder_is_not_read(model: Path, name: str) -> None:
    hashes = json.loads((model / "config.json").read_text())["sha256"]
    change_config(model, sha256={**hashes, name: "ab"})
    with pytest.raises(InputError, match="a model's files stand in its folder, but got"):
        load_model(model)


@pytest.mark.parametrize("folds", [0, -1, "2", None])
def test_a_config_that_is_none_is_refused(model: Path, folds: object) -> None:
    change_config(model, folds=folds)
    with pytest.raises(InputError, match="not a model folder"):
        load_model(model)


def test_a_species_table_that_is_none_is_refused(model: Path) -> None:
    (model / "species.csv").write_text("species\n1\n")
    trust(model, "species.csv")
    with pytest.raises(InputError, match="a column species_id of numbers is needed"):
        load_model(model)
