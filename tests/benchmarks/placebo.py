"""How often is a knob found to matter that cannot matter? Real trainings, made-up forests.

`stage3.placebo` draws other random numbers and changes nothing else. On every forest a grid of its values runs with
replicates, through `rfcx-study run`, and `rfcx-study compare` judges each value against the first. Whatever is found is
noise. Told are

    D           differences of the objective between two values, replicate by replicate: what one run of each would show
    (A), (B)    pairs with a p-value under 0.05, uncorrected; about 5 in 100 are to be expected
    found       pairs that `compare` calls better, after Holm's correction over a study's pairs

Pairs of a forest share an arm, so they are not independent, and the intervals of the shares are somewhat too narrow.

Every forest is a study of its own; interrupted, the script goes on when called again.

Example: python tests/benchmarks/placebo.py --folder FOLDER --forests 8 --values 4 --replicates 4
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

KNOB: Final = "stage3.placebo"
LEVEL: Final = 0.05
SPACE: Final = """# QUESTION  How often is a knob found to matter that changes random numbers only?
[scientific]
"stage3.placebo" = {{ choices = {values} }}
[fixed]
"network.backbone" = "test_resnet"
"network.pretrained" = "none"
"frontend.sample_rate_hz" = 24000
"frontend.f_max_hz" = 12000.0
"frontend.n_fft" = 1024
"frontend.hop_length" = 768
"frontend.n_mels" = 64
"windows.normalise" = "band_median"
"windows.window_frames" = 128
"windows.overlap_frames" = 12
"augment.time_mask_frames" = 10
"augment.mel_mask_mels" = 12
"stage1.epochs" = 8
"stage1.cosine_epochs" = 8
"stage1.crops_per" = "call"
"stage1.batch_crops" = 16
"stage1.learning_rate" = 3e-3
"stage1.jitter_frames" = [0, 8, 16, 32]
"stage2.epochs" = 2
"stage2.cosine_epochs" = 2
"stage2.learning_rate" = 1e-3
"stage2.batch_recordings" = 4
"stage3.epochs" = 4
"stage3.cosine_epochs" = 4
"stage3.learning_rate" = 1e-3
"stage3.batch_recordings" = 4
"stage3.label_rule" = "convex"
"stage3.pseudo_threshold" = 0.5
"stage3.teachers" = 2
"ruler.window_s" = 4.096
"ruler.hop_s" = 4.096
"ruler.every_epochs" = 100
[baseline]
"stage3.placebo" = 0
[search]
sampler = "grid"
scheduler = "none"
folds = 3
replicates = {replicates}
"""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two values of the placebo on one forest, as `compare` judges them."""

    forest: int
    differences: NDArray[np.float64]  # (replicate,)
    p_these: float
    p_new: float
    word: str


def pairs_of(forest: int, told: dict[str, Any]) -> list[Pair]:
    """The pairs in the answer of `compare --json`: the first value and each other one.

    Raises:
        ValueError: a pair has no verdict for new recordings.
    """
    found = []
    for answer in told["answers"]:
        if answer["p_value"] is None:
            raise ValueError(f"forest {forest}: {answer['names']} has no verdict")
        differences = np.array(list(answer["differences"].values()))
        found.append(Pair(forest, differences, answer["these"]["p_value"], answer["p_value"], answer["word"]))
    return found


def tables(pairs: Sequence[Pair]) -> str:
    """One row a forest, and what all say together."""
    lines = [
        "| forest | pairs | replicates | mean of absolute D | largest | (A) p < 0.05 | (B) p < 0.05 | found |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for forest in dict.fromkeys(pair.forest for pair in pairs):
        mine = [pair for pair in pairs if pair.forest == forest]
        lines.append(_row(str(forest), mine))
    lines.append(_row("all", pairs))
    return "\n".join([*lines, "", *_summary(pairs)])


def _row(name: str, pairs: Sequence[Pair]) -> str:
    single = np.abs(np.concatenate([pair.differences for pair in pairs]))
    counts = [sum(one) for one in zip(*map(_flags, pairs), strict=True)]
    cells = [name, len(pairs), len(pairs[0].differences), f"{single.mean():.4f}", f"{single.max():.4f}", *counts]
    return f"| {' | '.join(map(str, cells))} |"


def _flags(pair: Pair) -> tuple[bool, bool, bool]:
    return pair.p_these < LEVEL, pair.p_new < LEVEL, pair.word in ("better", "worse")


def _summary(pairs: Sequence[Pair]) -> list[str]:
    lines = []
    for name, index in (("(A) p < 0.05", 0), ("(B) p < 0.05", 1), ("found by `compare`", 2)):
        said = sum(_flags(pair)[index] for pair in pairs)
        low, high = binomtest(said, len(pairs)).proportion_ci(0.95, method="wilson")
        lines.append(f"{name}: {said} of {len(pairs)} pairs, {said / len(pairs):.1%} [{low:.1%}, {high:.1%}].")
    words = [pair.word for pair in pairs]
    told = ", ".join(f"{word} {words.count(word)}" for word in sorted(set(words)))
    return [*lines, f"Verdicts: {told}."]


def measure(asked: argparse.Namespace, forest: int) -> dict[str, Any]:
    """Run and compare one forest's study, with the project's own commands; the answer as `compare --json` has it."""
    data = asked.folder / f"forest{forest}"
    if not data.exists():
        size = ["--recordings", "40", "--test-recordings", "1", "--duration-s", "12", "--sample-rate-hz", "24000"]
        _verb("synthesize", data, *size, "--species", "10", "--seed", str(forest))
    space = asked.folder / "placebo.toml"
    space.write_text(SPACE.format(values=list(range(asked.values)), replicates=asked.replicates), encoding="utf-8")
    out, cache = asked.folder / f"study{forest}", asked.folder / "cache"
    _verb("run", space, "--data", data, "--out", out, "--cache", cache)
    (study,) = out.glob("placebo-*")
    told: dict[str, Any] = json.loads(_verb("compare", study, "--by", KNOB, "--json"))
    return told


def _verb(*words: object) -> str:
    """A command of the project; its stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "study", *map(str, words)], check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    return done.stdout


def main() -> int:
    """Measure and print."""
    about, _, example = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="where forests and studies are kept")
    parser.add_argument("--forests", type=int, default=8)
    parser.add_argument(
        "--values", type=int, default=4, help="of the placebo; each but the first is held against the first"
    )
    parser.add_argument("--replicates", type=int, default=4)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    asked.folder = asked.folder.resolve()
    pairs: list[Pair] = []
    for forest in range(1, asked.forests + 1):
        pairs += pairs_of(forest, measure(asked, forest))
    trainings = asked.forests * asked.values * asked.replicates
    print(f"{trainings} trainings on {asked.forests} forests, {asked.values} values of `{KNOB}`.\n\n{tables(pairs)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
