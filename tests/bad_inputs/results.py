"""What a study keeps of its trials: results of stages, out-of-fold scores, the listed boxes, the partition."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bad_inputs.case import Bad, Make, both, cut, folder, gone, raw, text

TRUTH = "truth judged truth --data data"
LISTED, SCORES = "judged/listed.npz", "judged/trials/0000-made/scores.npz"


def stored(spoil: Callable[[Path], object]) -> Make:
    """The one result in the store, spoilt."""

    def make(world: Path) -> None:
        (stage,) = (world / "judged" / "stages").iterdir()
        spoil(stage)

    return make


def weights(content: bytes | None) -> Make:
    """Other content of the stage's weights; None: none at all."""

    def spoil(stage: Path) -> None:
        (path,) = stage.glob("*.safetensors")
        path.unlink() if content is None else path.write_bytes(content)

    return stored(spoil)


def meta(change: Callable[[dict[str, Any]], object]) -> Make:
    """Another meta.json of the stage."""

    def spoil(stage: Path) -> None:
        told = json.loads((stage / "meta.json").read_text(encoding="utf-8"))
        change(told)
        (stage / "meta.json").write_text(json.dumps(told), encoding="utf-8")

    return stored(spoil)


CASES = [
    Bad("a stage's weights are missing", TRUTH, weights(None)),
    Bad("a stage's weights are empty", TRUTH, weights(b"")),
    Bad("a stage's weights claim a header of exabytes", TRUTH, weights(struct.pack("<Q", 2**62) + b"{}")),
    Bad("a stage's weights are others", TRUTH, weights(bytes(1000))),
    Bad("a stage's meta.json is cut short", TRUTH, stored(cut("meta.json", 0.5))),
    Bad("a stage's meta.json is a list", TRUTH, stored(text("meta.json", "[]"))),
    Bad("a stage's meta.json is missing", TRUTH, stored(gone("meta.json"))),
    Bad("a stage was made by other code", TRUTH, meta(lambda told: told["maker"].update(code="0"))),
    Bad("a stage was made with another torch", TRUTH, meta(lambda told: told["maker"].update(torch="1.0"))),
    Bad("a stage's weights lie out of its folder", TRUTH, meta(lambda told: told.update(file="../../../space.toml"))),
    Bad("a stage does not say its epoch", TRUTH, meta(lambda told: told["facts"].pop("epoch"))),
    Bad("a store is a file", TRUTH, both(gone("judged/stages"), text("judged/stages", ""))),
    Bad("out-of-fold scores are missing", "report judged", gone(SCORES)),
    Bad("out-of-fold scores are cut short", "report judged", cut(SCORES, 0.5)),
    Bad("out-of-fold scores are a pickle", "report judged", raw(SCORES, b"\x80\x04N.")),
    Bad("the listed boxes are missing", "report judged", gone(LISTED)),
    Bad("the listed boxes are empty", "report judged", raw(LISTED, b"")),
    Bad("the listed boxes are cut short", "report judged", cut(LISTED, 0.5)),
    Bad("the listed boxes are text", "report judged", text(LISTED, "no boxes")),
    Bad("the listed boxes are a folder", "report judged", folder(LISTED)),
    Bad("the partition is cut short", "report study", cut("study/folds.csv", 0.5)),
    Bad("the partition is missing", "report study", gone("study/folds.csv")),
]
