"""What does orchestration cost? The same trials in a loop, in a pool, in plain Ray Tune, and by `rfcx-study run`.

Trials train stage 3 of a small network for a second or two; the stages that they share stand in a store of their own
for each way, so that trials alone are timed. Every way is a process of its own, from its start to its end: imports and
the start of Ray are counted.

    loop         one after another in one process, one thread
    pool         two processes of one thread
    Ray Tune     a function trainable as its documentation has it, two at once, its default loggers
    rfcx-study   `run`, with all that it always does: ledger, TensorBoard, stage results on disk, progress, report

Of the last, the ledger also tells how long its trials trained and measured: a share of slots × wall seconds. With
`--epochs 140` a trial takes about a minute, and is told of every half of a second; with `--epochs 10 --recordings 320`
as long, in ten epochs.

Example: python tests/benchmarks/orchestration.py --trials 16 64
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

SLOTS: Final = 2
FOLDS: Final = 2
SPACE: Final = """# QUESTION  What does orchestration cost?
[nuisance]
"stage3.focal_gamma" = {{ low = 0.0, high = 4.0 }}
[fixed]
"network.backbone" = "test_resnet"
"network.pretrained" = "none"
"frontend.sample_rate_hz" = 24000
"frontend.f_max_hz" = 12000.0
"frontend.n_fft" = 1024
"frontend.hop_length" = 768
"frontend.n_mels" = 64
"windows.window_frames" = 128
"windows.overlap_frames" = 12
"augment.time_mask_frames" = 10
"augment.mel_mask_mels" = 12
"stage1.epochs" = 2
"stage1.cosine_epochs" = 2
"stage1.jitter_frames" = [0, 8, 16]
"stage2.epochs" = 1
"stage2.batch_recordings" = 4
"stage3.epochs" = {epochs}
"stage3.batch_recordings" = 4
"stage3.teachers" = 1
"ruler.window_s" = 4.096
"ruler.hop_s" = 4.096
[baseline]
"stage3.focal_gamma" = 2.0
[search]
sampler = "random"
scheduler = "none"
folds = {folds}
"""
WAYS: Final = ("loop", "pool", "Ray Tune", "rfcx-study")


def gammas(trials: int) -> list[float]:
    """A value a trial."""
    return [round(4.0 * (one + 0.5) / trials, 4) for one in range(trials)]


@lru_cache(maxsize=1)
def _bench(folder: Path, store: Path) -> tuple[Any, Any]:
    """The space and the setting, loaded once a process."""
    from rfcx_model.recordings import load
    from study.setting import Setting
    from study.space import load as load_space

    study = load_space(folder / "space.toml")
    setting = Setting(load(folder / "forest"), FOLDS, folder / "cache", store, threads=1)
    return study, setting


def trained(folder: Path, store: Path, gamma: float) -> list[float]:
    """One trial in this process; LWLRAP after each of its epochs."""
    from study.recipe import trial_request
    from study.setting import Alone, trial_seed, workshop
    from study.stages import obtain

    study, setting = _bench(folder, store)
    h = study.hyperparameters({"stage3.focal_gamma": gamma})
    seed = trial_seed(study.search.seed, 0)
    place = workshop(setting, h, seed, lease=Alone(), tick=lambda _: None)
    stored = obtain(place, h, trial_request(h, range(FOLDS), seed))
    return [float(epoch.metrics["lwlrap"]) for epoch in stored.history()]


def loop(folder: Path, store: Path, trials: int) -> None:
    """One after another."""
    for gamma in gammas(trials):
        trained(folder, store, gamma)


def pool(folder: Path, store: Path, trials: int) -> None:
    """Two at once, each process keeping what it has imported."""
    with ProcessPoolExecutor(SLOTS, mp_context=get_context("spawn")) as workers:
        list(workers.map(trained, [folder] * trials, [store] * trials, gammas(trials)))


def ray_tune(folder: Path, store: Path, trials: int) -> None:
    """A function trainable, as Tune's user guide has it."""
    import ray
    from ray import tune

    here = str(Path(__file__).parent)

    def objective(config: dict[str, Any]) -> None:
        sys.path.insert(0, here)  # a worker does not know this script
        from orchestration import trained

        for score in trained(folder, store, config["gamma"]):
            tune.report({"score": score})

    ray.init(num_cpus=SLOTS, include_dashboard=False, address="local", log_to_driver=False)
    tuner = tune.Tuner(
        tune.with_resources(objective, {"cpu": 1}),
        param_space={"gamma": tune.grid_search(gammas(trials))},
        run_config=tune.RunConfig(storage_path=str(store.with_name("ray")), name="plain", verbose=0),
    )
    results = tuner.fit()
    if results.errors:
        raise RuntimeError(str(results.errors[0]))
    ray.shutdown()


def rfcx_study(folder: Path, store: Path, trials: int) -> None:
    """The command, in this process's place."""
    out = store.with_name("studies")
    words = [
        "--data",
        folder / "forest",
        "--out",
        out,
        "--store",
        store,
        "--cache",
        folder / "cache",
        "--trials",
        trials,
    ]
    _verb("run", folder / "space.toml", *words)


def _verb(*words: object) -> None:
    done = subprocess.run([sys.executable, "-m", "study", *map(str, words)], capture_output=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])


RUN: Final = {"loop": loop, "pool": pool, "Ray Tune": ray_tune, "rfcx-study": rfcx_study}


def prepared(folder: Path, epochs: int, recordings: int = 16) -> None:
    """A forest, its spectrograms, a space, and a store that holds the shared stages alone."""
    from rfcx_model.forest import Forest
    from rfcx_model.synthetic import write

    options = Forest(
        train_recordings=recordings, test_recordings=1, duration_s=16.0, sample_rate_hz=24_000, species=6, seed=1
    )
    write(options, folder / "forest", workers=2)
    (folder / "space.toml").write_text(SPACE.format(epochs=epochs, folds=FOLDS), encoding="utf-8")
    trained(folder, folder / "shared", 1.0)
    for path in (folder / "shared").glob("*stage3*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@dataclass(frozen=True)
class Taken:
    """Wall seconds of a process, and of its trials where a ledger tells them."""

    wall_s: float
    trained_s: float | None


def timed(folder: Path, way: str, trials: int, turn: int) -> Taken:
    """A process that does it."""
    place = folder / f"{way.replace(' ', '-')}-{trials}-{turn}"
    shutil.copytree(folder / "shared", place / "store")
    begun = time.perf_counter()
    command = [sys.executable, __file__, "--way", way, "--folder", folder, "--store", place / "store"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    words = [*map(str, command), "--trials", str(trials)]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", env=environment)
    if done.returncode:
        raise RuntimeError(f"{way}: {done.stderr[-3000:]}")
    wall_s = time.perf_counter() - begun
    return Taken(wall_s, _trained_s(place / "studies") if way == "rfcx-study" else None)


def _trained_s(studies: Path) -> float:
    """Seconds that all epochs of all trials took, as the ledger tells them."""
    from study.trials import read_trials

    (ledger,) = studies.glob("*/trials.jsonl")
    return sum(float(epoch.metrics["seconds"]) for trial in read_trials(ledger) for epoch in trial.epochs)


def table(taken: dict[int, dict[str, list[Taken]]]) -> Iterable[str]:
    """A line for each way and number of trials."""
    yield "| trials | way | wall s | of the loop | Ray Tune's, times | training, of slots × wall |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: |"
    for trials, ways in taken.items():
        middle = {way: sorted(times, key=lambda one: one.wall_s)[len(times) // 2] for way, times in ways.items()}
        for way, one in middle.items():
            of_loop = f"{one.wall_s / middle['loop'].wall_s:.2f}" if "loop" in middle else ""
            by_tune = f"{middle['Ray Tune'].wall_s / one.wall_s:.2f}" if "Ray Tune" in middle else ""
            busy = "" if one.trained_s is None else f"{one.trained_s / (SLOTS * one.wall_s):.2f}"
            yield f"| {trials} | {way} | {one.wall_s:.1f} | {of_loop} | {by_tune} | {busy} |"


def main() -> None:
    """Measure and print."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="+", default=[16])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=6, help="of a trial")
    parser.add_argument("--recordings", type=int, default=16, help="of an epoch")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        RUN[asked.way](asked.folder, asked.store, asked.trials[0])
        return
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepared(folder, asked.epochs, asked.recordings)
        taken: dict[int, dict[str, list[Taken]]] = {n: {way: [] for way in asked.ways} for n in asked.trials}
        for turn in range(asked.repeats):
            for trials, ways in taken.items():
                for way, times in ways.items():
                    times.append(timed(folder, way, trials, turn))
                    print(json.dumps([trials, way, round(times[-1].wall_s, 1)]), file=sys.stderr, flush=True)
    print("\n".join(table(taken)))


if __name__ == "__main__":
    main()
