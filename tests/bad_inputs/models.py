"""Bundles and models, one's own and a stranger's."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

from untrained_model import change_config, deafen, trust

from bad_inputs.case import Bad, Make, both, cut, fact, flip, folder, gone, loop, raw, swap, text, without

TRAIN = "train bundle --data data --to out"
PREDICT = "predict model --data data --to out.csv"
BUNDLE, MODEL, FOLD = "bundle/config.json", "model/config.json", "model/fold0.safetensors"


def sealed(name: str, value: object) -> Make:
    """A model's config.json that says something else, sealed as if `train` had written it."""

    def make(world: Path) -> None:
        change_config(world / "model", **{name: value})

    return make


def trusted(make_file: Make, name: str) -> Make:
    """A file of a model whose hash was written down as it is now."""

    def make(world: Path) -> None:
        make_file(world)
        trust(world / "model", name)

    return make


def header(claimed: int) -> Make:
    """Weights whose header claims so many bytes of header."""
    return lambda world: (world / FOLD).write_bytes(struct.pack("<Q", claimed) + b"{}")


def tensor(count: int) -> Make:
    """Weights whose header claims a tensor of so many numbers, which are not there."""
    told = json.dumps({"head": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}).encode()
    return lambda world: (world / FOLD).write_bytes(struct.pack("<Q", len(told)) + told + bytes(16))


def link(name: str, to: str) -> Make:
    """A link out of the folder in a file's place."""

    def make(world: Path) -> None:
        (world / name).unlink()
        (world / name).symlink_to(to)

    return make


def hashed(name: str) -> Make:
    """A model that lists one file more."""

    def make(world: Path) -> None:
        hashes = json.loads((world / MODEL).read_text(encoding="utf-8"))["sha256"]
        change_config(world / "model", sha256={**hashes, name: "0" * 64})

    return make


def knob(name: str, value: object) -> Make:
    """A model one of whose knobs is another."""

    def make(world: Path) -> None:
        knobs = json.loads((world / MODEL).read_text(encoding="utf-8"))["hyperparameters"]
        change_config(world / "model", hyperparameters={**knobs, name: value})

    return make


def deaf(world: Path) -> None:
    """A model whose weights hold nan."""
    deafen(world / "model")


EMPTY = struct.pack("<Q", 2) + b"{}"


class Run:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch pwned",)


CASES = [
    Bad("there is no such bundle", "train bnudle --data data --to out"),
    Bad("a bundle is a file", "train space.toml --data data --to out"),
    Bad("a bundle without config.json", TRAIN, gone(BUNDLE)),
    Bad("a bundle's config.json is empty", TRAIN, text(BUNDLE, "")),
    Bad("a bundle's config.json is cut short", TRAIN, cut(BUNDLE, 0.5)),
    Bad("a bundle's config.json is a list", TRAIN, text(BUNDLE, "[1, 2]")),
    Bad("a bundle's config.json is no UTF-8", TRAIN, raw(BUNDLE, b"\xff\xfe")),
    Bad("a bundle's config.json is a folder", TRAIN, folder(BUNDLE)),
    Bad("a bundle's config.json is a pickle", TRAIN, raw(BUNDLE, pickle.dumps(Run()))),
    Bad("a bundle's config.json nests a thousand times", TRAIN, text(BUNDLE, "[" * 100_000)),
    Bad("a bundle of another format", TRAIN, fact(BUNDLE, "format", value=99)),
    Bad("a bundle without its format", TRAIN, without(BUNDLE, "format")),
    Bad("a bundle without a seed", TRAIN, without(BUNDLE, "seed")),
    Bad("a bundle's seed is a word", TRAIN, fact(BUNDLE, "seed", value="one")),
    Bad("a bundle's score is not a number", TRAIN, swap(BUNDLE, '"score": 0.5', '"score": NaN')),
    Bad("a bundle says something unknown", TRAIN, fact(BUNDLE, "sede", value=1)),
    Bad("a bundle's knob is unknown", TRAIN, fact(BUNDLE, "hyperparameters", "stage3.gamma", value=1.0)),
    Bad("a bundle's knob is of another type", TRAIN, fact(BUNDLE, "hyperparameters", "stage3.epochs", value="five")),
    Bad(
        "a bundle's knob is beyond its limit",
        TRAIN,
        fact(BUNDLE, "hyperparameters", "stage3.learning_rate", value=-1.0),
    ),
    Bad("a bundle's network is unknown", TRAIN, fact(BUNDLE, "hyperparameters", "network.backbone", value="os.system")),
    Bad("a bundle of no folds", TRAIN, fact(BUNDLE, "folds", value=0)),
    Bad("a bundle of more folds than recordings", TRAIN, fact(BUNDLE, "folds", value=50)),
    Bad("a bundle of no threads", TRAIN, fact(BUNDLE, "threads", value=0)),
    Bad("a model is to be written where one is", "train bundle --data data --to model"),
    Bad("a model is to be written into a file", "train bundle --data data --to space.toml/model"),
    Bad("a model of no whole models", "train bundle --data data --to out --whole -1"),
    Bad("there is no such model", "predict mdoel --data data --to out.csv"),
    Bad("a bundle is given for a model", "predict bundle --data data --to out.csv"),
    Bad("a model is given for a bundle", "train model --data data --to out"),
    Bad("a model without config.json", PREDICT, gone(MODEL)),
    Bad("a model's config.json is empty", PREDICT, text(MODEL, "")),
    Bad("a model's config.json is cut short", PREDICT, cut(MODEL, 0.7)),
    Bad("a model's config.json was changed", PREDICT, fact(MODEL, "hyperparameters", "frontend.n_mels", value=64)),
    Bad("a model's config.json is not sealed", PREDICT, without(MODEL, "config_sha256")),
    Bad("a model of another format", PREDICT, sealed("format", 1)),
    Bad("a model that lists no hashes", PREDICT, sealed("sha256", {})),
    Bad("a model that lists a file out of its folder", PREDICT, sealed("sha256", {"../space.toml": "0" * 64})),
    Bad("a model's hashes are a list", PREDICT, sealed("sha256", [])),
    Bad("a model without a fold's weights", PREDICT, gone(FOLD)),
    Bad("a model's weights are cut short", PREDICT, cut(FOLD, 0.5)),
    Bad("a byte of a model's weights is another", PREDICT, flip(FOLD, 0.9)),
    Bad("a model's weights are a pickle", PREDICT, trusted(raw(FOLD, pickle.dumps(Run())), "fold0.safetensors")),
    Bad("a model's weights claim a header of exabytes", PREDICT, trusted(header(2**62), "fold0.safetensors")),
    Bad("a model's weights claim a tensor of terabytes", PREDICT, trusted(tensor(2**40), "fold0.safetensors")),
    Bad("a model's weights are of no network", PREDICT, trusted(tensor(4), "fold0.safetensors")),
    Bad("a model's weights are a link out of it", PREDICT, link(FOLD, "/etc/passwd")),
    Bad("a model's species.csv is missing", PREDICT, gone("model/species.csv")),
    Bad("a model's species.csv was changed", PREDICT, text("model/species.csv", "species_id\n0\n1\n")),
    Bad(
        "a model's species.csv says another number",
        PREDICT,
        trusted(text("model/species.csv", "species_id\n0\n1\n"), "species.csv"),
    ),
    Bad("a model's config.json is a folder", PREDICT, folder(MODEL)),
    Bad("a model's config.json is a link to itself", PREDICT, loop(MODEL)),
    Bad("a model's config.json nests a thousand times", PREDICT, text(MODEL, "[" * 100_000)),
    Bad("a model lists a file above it", PREDICT, hashed("../space.toml")),
    Bad("a model lists a file of the system", PREDICT, hashed("/etc/passwd")),
    Bad("a model lists a file that is not there", PREDICT, hashed("fold7.safetensors")),
    Bad("a model of a million folds", PREDICT, sealed("folds", 10**6)),
    Bad("a model of no folds", PREDICT, sealed("folds", 0)),
    Bad("a model's priors are a number", PREDICT, sealed("priors", 3)),
    Bad("a model's knob is unknown", PREDICT, knob("stage3.gamma", 1.0)),
    Bad("a model's knob is beyond its limit", PREDICT, knob("frontend.n_mels", -1)),
    Bad(
        "a model's front end is another",
        PREDICT,
        trusted(raw("model/frontend.safetensors", EMPTY), "frontend.safetensors"),
    ),
    Bad("a model's weights are a folder", PREDICT, folder(FOLD)),
    Bad("a model's weights are not numbers", PREDICT, deaf),
    Bad(
        "a model's species are markup", PREDICT, trusted(text("model/species.csv", "species_id\n<b>\n"), "species.csv")
    ),
    Bad("a model knows no species", PREDICT, trusted(text("model/species.csv", "species_id\n"), "species.csv")),
    Bad("a submission of other species", PREDICT, both(swap("data/sample_submission.csv", "s2", "s9"))),
    Bad("a submission is to be written over a folder", "predict model --data data --to data"),
    Bad("neither data nor recordings", "predict model --to out.csv"),
    Bad("data and recordings at once", "predict model --data data --recordings data/test --to out.csv"),
    Bad("a folder of no recordings", "predict model --recordings model --to calls"),
    Bad("recordings that are not there", "predict model --recordings nowhere --to calls"),
    Bad("a threshold above 1", "predict model --recordings data/test --to calls --threshold 1.5"),
    Bad("a piece shorter than a window", "predict model --recordings data/test --to calls --piece-s 0.1"),
    Bad("priors of a model that has none", "predict model --data data --to out.csv --priors"),
]
