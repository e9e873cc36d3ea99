"""Final training, its stages found in a store: what stands in the model folder, and on TensorBoard."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from rich.console import Console
from safetensors.torch import save_file
from tiny import KNOBS, Sound, write_folder
from untrained_model import change_config

from rfcx_model import network
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Hyperparameters, build
from rfcx_model.recordings import load
from study import event_files
from study.bundle import Bundle, to_json
from study.display import Display
from study.final import Places, train
from study.model_card import FIGURES
from study.model_folder import load_model
from study.recipe import Request, earlier, trial_request, whole_request
from study.setting import Alone, Setting, workshop
from study.stages import obtain
from study.submission import write_submission

SEED = 3
QUIET = Display(Console(quiet=True))
LITTLE = KNOBS | {"stage2.epochs": 1, "stage3.epochs": 2, "stage3.teachers": 1, "stage3.pseudo_threshold": 0.5}


@dataclass(frozen=True)
class Made:
    """Data, a bundle, and the store in which a test trains what it needs."""

    folder: Path
    h: Hyperparameters

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def places(self) -> Places:
        return Places(self.folder / "store", self.folder / "cache")

    def bundle(self, **changes: Any) -> Path:
        bundle = Bundle(
            hyperparameters=self.h,
            folds=2,
            seed=SEED,
            replicate=0,
            data_fingerprint=None,
            folds_hash=None,
            study="little",
            trial=4,
            signature=None,
            score=0.5,
            metrics={},
            versions={},
            commit="abc",
        )
        (self.folder / "bundle").mkdir(exist_ok=True)
        (self.folder / "bundle" / "config.json").write_text(to_json(replace(bundle, **changes)))
        return self.folder / "bundle"

    def have(self, requests: Sequence[Request], data: Path | None = None, **other: Any) -> None:
        """Train stages into the store, so that nothing is left for Ray to do."""
        recordings = load(data or self.data)
        setting = Setting(recordings, 2, self.places.cache, self.folder / "store", threads=1, **other)
        place = workshop(setting, self.h, SEED, lease=Alone(), tick=lambda _: None)
        for request in requests:
            obtain(place, self.h, request)

    def train(self, to: str = "model", data: Path | None = None, whole: int = 0) -> tuple[Path, str]:
        said = io.StringIO()
        made = train(
            self.bundle(), data or self.data, self.folder / to, self.places, Display(Console(file=said)), whole
        )
        return made, said.getvalue()


@pytest.fixture
def made(tmp_path: Path) -> Made:
    write_folder(tmp_path / "data")
    torch.set_num_threads(1)
    return Made(tmp_path, build(LITTLE))


def scalars(board: Path) -> dict[str, list[int]]:
    """Steps of each run's train/loss."""
    return {
        run.name: [e.step for e in event_files.read(run) if any(v.tag == "train/loss" for v in e.summary.value)]
        for run in board.iterdir()
    }


def test_models_of_all_recordings_are_found_written_and_heard_with(made: Made) -> None:
    requests = [whole_request(made.h, (0, 1), SEED, model) for model in (0, 1)]
    made.have(requests)
    folder, said = made.train(whole=2)
    assert "every stage stood in the store already" in said
    config = json.loads((folder / "config.json").read_text())
    assert (config["trained_on"], config["metrics"]) == ("all recordings", {})
    card = (folder / "card.md").read_text()
    assert "2 models of different seeds, each trained on all recordings" in card
    assert "none is left to measure them on" in card
    assert "## Calibration" not in card
    model = load_model(folder)
    assert len(model.nets) == 2
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in folder.iterdir())
    weights = [net.state_dict()["class_head.weight"] for net in model.nets]
    assert not torch.equal(*weights)
    submission = write_submission(folder, made.data, made.folder / "submission.csv", QUIET)
    assert len(submission.read_text().splitlines()) == 5


def test_the_stages_of_a_final_training_are_on_tensorboard_once(made: Made) -> None:
    request = trial_request(made.h, (0, 1), SEED)
    made.have([request])
    made.train()
    made.train(to="again")
    runs = scalars(made.folder / "model-tensorboard")
    assert len(runs) == len([*earlier(request), request]) == 5  # two stages 1, two teachers, the students
    last = next(steps for name, steps in runs.items() if name.startswith("stage3, held out 0 1, seed "))
    assert last == [1, 2]
    places = replace(made.places, board=made.folder / "model-tensorboard")
    train(made.bundle(), made.data, made.folder / "third", places, QUIET)
    assert scalars(made.folder / "model-tensorboard") == runs


def test_a_bundle_refits_on_other_data_with_other_species(made: Made) -> None:
    other = write_folder(made.folder / "other", Sound(recordings=14, seed=1))
    for table in ("train_tp.csv", "train_fp.csv"):
        lines = (other / table).read_text().splitlines()
        kept = [line for line in lines if line.split(",")[1] != "2"]
        (other / table).write_text("\n".join(kept) + "\n")
    rows = ["recording_id,s0,s1", *(f"test{k:03d},0.5,0.5" for k in range(4))]
    (other / "sample_submission.csv").write_text("\n".join(rows) + "\n")
    made.have([trial_request(made.h, (0, 1), SEED)], other)
    folder, _ = made.train(data=other)
    assert load_model(folder).species == (0, 1)
    assert "2 species, other data than the search" in (folder / "card.md").read_text()


def test_pretrained_weights_stand_in_the_model_with_their_hash_and_others_are_refused(made: Made) -> None:
    file = made.folder / "weights.safetensors"

    def write(seed: int) -> None:
        torch.manual_seed(seed)
        save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), file)
        network.pretrained_digest.cache_clear()

    write(1)
    made = replace(made, h=build({**LITTLE, "network.pretrained": str(file)}))
    source, digest = made.h.network.source, network.pretrained_digest(made.h.network)
    assert len(digest) == 64
    made.have([trial_request(made.h, (0, 1), SEED)], pretrained={source: digest})
    folder, said = made.train()
    assert "nothing was trained again" in said
    assert json.loads((folder / "config.json").read_text())["pretrained"] == {source: digest}
    assert f"SHA-256 {digest}" in (folder / "card.md").read_text()

    write(2)
    assert network.pretrained_digest(made.h.network) != digest
    with pytest.raises(InputError, match=r"must have the weights that the study began with .* but on .* others"):
        made.have([whole_request(made.h, (0, 1), SEED)], pretrained={source: digest})


def test_the_card_tells_the_scores_that_the_ruler_gives_and_opens_offline(made: Made) -> None:
    made.have([trial_request(made.h, (0, 1), SEED)])
    folder, _ = made.train()
    metrics = json.loads((folder / "config.json").read_text())["metrics"]
    card, page = (folder / "card.md").read_text(), (folder / "card.html").read_text()
    for name, title in FIGURES.items():
        assert f"| {title} | {metrics[name]:.4f} | " in card
    for heading in (
        "Scores",
        "By species",
        "Precision and recall",
        "Calibration",
        "What it hears",
        "Limits",
        "Settings",
    ):
        assert f"## {heading}\n" in card
        assert f"<h2>{heading}</h2>" in page
    assert page.count("data:image/png;base64,") == 3
    assert page.count("data:image/svg+xml;base64,") == 3
    assert "http" not in page.replace("http-equiv", "")
    assert {"card.html", "card.md", "frontend.safetensors"} <= set(
        json.loads((folder / "config.json").read_text())["sha256"]
    )


def test_names_with_markup_are_text_in_the_card(made: Made) -> None:
    made.have([whole_request(made.h, (0, 1), SEED)])
    made.bundle(study="<b>a|b</b>`c`")
    folder = train(made.folder / "bundle", made.data, made.folder / "model", made.places, QUIET, whole=1)
    page = (folder / "card.html").read_text()
    assert "<b>a" not in page
    assert "&lt;b&gt;a|b&lt;/b&gt;`c`" in page


def test_an_existing_target_is_refused(made: Made) -> None:
    (made.folder / "model").mkdir()
    with pytest.raises(InputError, match="exists already"):
        made.train()


def test_class_priors_are_fitted_out_of_fold_and_applied_on_demand(made: Made) -> None:
    made.have([trial_request(made.h, (0, 1), SEED)])
    folder, _ = made.train()
    told = json.loads((folder / "config.json").read_text())["priors"]
    assert len(told["log_prior"]) == 3
    card = (folder / "card.md").read_text()
    assert f"{told['cross_fitted']:.4f}" in card
    assert f"{told['plain']:.4f}" in card
    assert told["plain"] == pytest.approx(json.loads((folder / "config.json").read_text())["metrics"]["lwlrap"])

    change_config(folder, priors={**told, "weight": 1.0, "log_prior": [3.0, 0.0, -3.0]})
    plain, ranked = (
        pd.read_csv(write_submission(folder, made.data, made.folder / name, QUIET, with_priors=with_priors))
        for name, with_priors in (("plain.csv", False), ("ranked.csv", True))
    )
    assert (ranked["s0"] > plain["s0"]).all()
    np.testing.assert_allclose(ranked["s1"], plain["s1"], rtol=1e-6)
    assert (ranked["s2"] < plain["s2"]).all()


def test_priors_of_models_that_have_none_are_refused(made: Made) -> None:
    made.have([whole_request(made.h, (0, 1), SEED)])
    folder, _ = made.train(whole=1)
    with pytest.raises(InputError, match="--priors needs priors that were fitted out of fold, but there are none"):
        write_submission(folder, made.data, made.folder / "submission.csv", QUIET, with_priors=True)
    assert not (made.folder / "submission.csv").exists()
