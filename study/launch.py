"""Run a study or carry it on: shared stages first, then a Tuner whose every event goes to the recorder."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import ray
import torch
from ray import tune

from rfcx_model import compute, network
from rfcx_model.errors import InputError, RunError, first_line, last_line
from rfcx_model.hyperparameters import Network, Windows
from rfcx_model.recordings import load
from study import nodes, other_questions, recipe
from study.address import refusal
from study.budget import spent
from study.display import Display
from study.driver_lease import driver_lease
from study.machine import Share, cores, share_of
from study.optuna_journal import OptunaJournal
from study.ray_environment import WORKERS
from study.ray_folder import ray_folder
from study.recorder import Recorder, Start
from study.scheduler import StudyScheduler
from study.searcher import StudySearcher
from study.setting import Setting, spectrograms, trial_seed
from study.space import Study
from study.space_settings import Resources
from study.store import open_store
from study.study_folder import Order, networks, write_study
from study.trainable import Desk, Job, StageOrder, train_stage, trial, trial_name
from study.trials import EndState, Ledger, read_trials
from study.work import done_work, planned_work, shared_stages

LOCAL_STORE_BYTES = 200 * 1024**2  # Ray carries boxes and configs; spectrograms are memory-mapped files
AGAIN_S = 2.0
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
RETRIES = 1  # of a trial that failed at an epoch; it goes on from the one before


@contextlib.contextmanager
def session(address: str | None) -> Iterator[None]:
    """Ray, up. A local cluster listens on loopback only and leaves no process and no folder behind.

    Raises:
        InputError: there is no cluster at the address, or it cannot be joined.
        RunError: Ray did not start on this machine.
    """
    if address is not None:
        try:
            ray.init(
                address=address,
                runtime_env={"env_vars": {name: os.environ[name] for name in WORKERS if name in os.environ}},
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise refusal(address, error) from error
        try:
            with _heard_interrupts(), contextlib.redirect_stdout(sys.stderr):  # Ray tells of lost nodes on stdout
                yield
        finally:
            ray.shutdown()
        return
    with ray_folder() as folder:
        try:
            _start(folder)
            with _heard_interrupts():
                yield
        finally:
            ray.shutdown()


def _start(folder: Path) -> None:
    try:
        ray.init(
            address="local",
            num_cpus=cores(),
            include_dashboard=False,
            object_store_memory=LOCAL_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
        )
    except Exception as error:  # Ray raises a bare one where its processes are not up in half a minute
        raise RunError(
            f"Ray could not start on this machine: {first_line(error)} Call again; a machine that is very busy may "
            "need that, and `--address` takes a Ray that runs already."
        ) from error


@contextlib.contextmanager
def _heard_interrupts() -> Iterator[None]:
    """Ctrl-C until it is heard: code of Ray may swallow a KeyboardInterrupt, so it is raised again a little later."""

    def strike(_number: int, _frame: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return
    kept = {number: signal.signal(number, strike) for number in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in kept.items():
            signal.signal(number, handler)


def share(asked: Resources) -> Share:
    """What each trial gets of the cluster that Ray is connected to; see `machine.share_of`."""
    return share_of(nodes.room(), asked)


def run(study: Study, order: Order, display: Display) -> Path:
    """Run the study, or carry it on, and return its folder.

    Raises:
        InputError: something that the user can mend, before any training.
        RunError: a shared stage failed.
    """
    recordings = load(order.data)
    folder = order.out / f"{study.name}-{study.signature(recordings.fingerprint)[:8]}"
    if told := other_questions.difference(study, recordings.fingerprint, folder):
        display.say(told)
    with session(order.address):
        slots = share(study.resources)
        torch.set_num_threads(slots.threads)
        setting = Setting(
            recordings=recordings,
            n_folds=study.search.folds,
            cache=order.cache,
            store=order.store or folder / "stages",
            threads=slots.threads,
        )
        for replicate in range(study.search.replicates):
            setting.folds(trial_seed(study.search.seed, replicate))  # refuses what cannot be split
        if order.address is not None:
            nodes.refuse_unlike(_folders(study, order), display.say)
        baseline = study.hyperparameters(study.baseline)
        tested = _check_networks.options(num_cpus=slots.cpus, num_gpus=slots.gpus).remote(
            networks(study), baseline.windows, baseline.frontend.n_mels, len(recordings.species), slots
        )
        spectrograms(recordings, baseline.frontend, order.cache, display)
        setting = replace(setting, device=_answer(tested, study, display))
        with driver_lease(folder, display.say) as lease:
            _run(study, setting, Ledger(folder / "trials.jsonl", lease.check), order, slots, display)
    return folder


def _folders(study: Study, order: Order) -> list[nodes.Folder]:
    """What all nodes must see."""
    weights = {one.pretrained for one in networks(study)} - {"none", "hub"}
    written = {"--out": order.out, "--store": order.store, "--cache": order.cache}
    return [
        nodes.Folder("--data", order.data, written=False),
        *(nodes.Folder("network.pretrained", Path(path), written=False) for path in weights if Path(path).is_file()),
        *(nodes.Folder(option, path) for option, path in written.items() if path is not None),
    ]


def _run(study: Study, setting: Setting, ledger: Ledger, order: Order, slots: Share, display: Display) -> None:
    """All that changes the study's folder."""
    folder = ledger.path.parent
    write_study(study, setting, folder, order)
    job = Job(study, setting, folder, _open_desk())
    cost = planned_work(study, setting, order.trials)
    display.say(f"{folder}: {cost}")
    orders = [
        StageOrder(hyperparameters, one, trial_seed(study.search.seed, replicate))
        for hyperparameters, one, replicate in shared_stages(study, setting, order.trials or study.budget.trials)
    ]
    train_shared(setting, job.desk, orders, slots, display)
    _search(job, ledger, slots, order, display)
    trials = read_trials(ledger.path)
    display.say(str(done_work(study, setting, open_store(setting.store, setting.device or compute.best()), trials)))


def train_stages(setting: Setting, orders: Sequence[StageOrder], display: Display) -> None:
    """Start Ray on this machine just to train some stages.

    Raises:
        RunError: a stage failed.
    """
    with session(None):
        slots = share(Resources(cpus=float(setting.threads)))
        torch.set_num_threads(setting.threads)
        train_shared(setting, _open_desk(), orders, slots, display)


def _open_desk() -> Any:
    """The desk, on the driver's own node: it must not be lost with another."""
    return Desk.options(scheduling_strategy=nodes.on_node(nodes.here())).remote()  # type: ignore[attr-defined]


def train_shared(setting: Setting, desk: Any, orders: Sequence[StageOrder], slots: Share, display: Display) -> None:
    """Train stages as Ray tasks, each as soon as those before it are done. Those in the store are passed over.

    Raises:
        RunError: a stage failed.
    """
    store = open_store(setting.store, setting.device or compute.best())
    tasks: dict[str, Any] = {}
    total = 0
    for order in orders:
        hyperparameters, request, partition = order.hyperparameters, order.request, setting.partition(order.seed)
        name, epochs = request.name(hyperparameters, partition), request.epochs(hyperparameters)
        done = store.epochs_done(name)
        if done >= epochs or name in tasks:
            continue
        total += len(request.held_out) * (epochs - done)
        earlier = [tasks[n] for n in recipe.names(request.after, hyperparameters, partition) if n in tasks]
        task = train_stage.options(num_cpus=slots.cpus, num_gpus=slots.gpus)
        tasks[name] = task.remote(order, setting, desk, *earlier)
    if not tasks:
        return
    before, patience = ray.get(desk.trained.remote()), nodes.Patience(slots, display.say)
    with display.phase("shared stages", total):
        left = list(tasks.values())
        while left:
            patience.look()
            ready, left = ray.wait(left, num_returns=len(left), timeout=0.5)
            display.at(ray.get(desk.trained.remote()) - before)
            _pass_on(desk, display)
            try:
                ray.get(ready)
            except ray.exceptions.RayError as error:
                raise RunError(f"a shared stage failed: {last_line(error)}") from error


def _pass_on(desk: Any, display: Display) -> None:
    """What workers have to say."""
    for text in ray.get(desk.heard.remote()):
        display.say(text)


def _search(job: Job, ledger: Ledger, slots: Share, order: Order, display: Display) -> None:
    """The Tuner. Its own files go to `.ray/` in the study's folder and are never read back."""
    study, limit = job.study, order.trials or job.study.budget.trials
    hours = order.hours or study.budget.hours
    known = read_trials(ledger.path)
    planned = study.epoch_range()[1]
    mirrors = [OptunaJournal(job.folder, study, known, display.say)]
    recorder = Recorder(study, ledger, known, display, planned, mirrors)
    scheduler = StudyScheduler(study.search, planned, known)
    try:
        for number, reason in scheduler.overdue.items():
            recorder.ended(number, "PRUNED", reason)
        over = partial(spent, study.budget, study.objective.noise, recorder.trials.values())
        searcher = StudySearcher(study, list(recorder.trials.values()), limit, lambda: bool(over()))
        patience = nodes.Patience(slots, display.say)
        callback = _Callback(job, recorder, searcher, scheduler, patience)
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trial, job=job), {"cpu": slots.cpus, "gpu": slots.gpus}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler,
                num_samples=-1,
                max_concurrent_trials=slots.concurrent,
                time_budget_s=hours * 3600 if hours else None,
                reuse_actors=True,
                trial_dirname_creator=lambda ray_trial: f"{ray_trial.config['trial']:04d}",
            ),
            run_config=tune.RunConfig(
                name=".ray",
                storage_path=str(job.folder),
                verbose=0,
                callbacks=[callback],
                failure_config=tune.FailureConfig(max_failures=RETRIES),
            ),
        )
        with display.phase("trials", limit * planned):
            try:
                tuner.fit()
            except Exception:
                if callback.error is not None:
                    raise callback.error from None
                raise
            _pass_on(job.desk, display)
        if why := over():
            display.say(f"no further trial is begun: {why}")
        for number, told in list(recorder.trials.items()):
            if told.state == "RUNNING":  # Tune's time budget stops trials without a word to anyone
                recorder.ended(number, "STOPPED", "the budget was spent")
        failed = [told for told in recorder.trials.values() if told.state == "FAILED"]
        if failed and len(failed) == len(recorder.trials):
            raise RunError(f"every trial failed; trial {failed[0].number}: {failed[0].reason}")
    finally:
        recorder.close()


Event = TypeVar("Event", bound=Callable[..., None])


def _kept(event: Event) -> Event:
    """Keep what an event's method raises: Tune makes a long text of it."""

    @wraps(event)
    def method(self: _Callback, *told: Any, **facts: Any) -> None:
        try:
            event(self, *told, **facts)
        except Exception as error:
            self.error = error
            raise

    return cast(Event, method)


class _Callback(tune.Callback):
    """Tune's events → the recorder, with the state that is true."""

    def __init__(
        self,
        job: Job,
        recorder: Recorder,
        searcher: StudySearcher,
        scheduler: StudyScheduler,
        patience: nodes.Patience,
    ) -> None:
        self._job = job
        self._recorder = recorder
        self._searcher = searcher
        self._scheduler = scheduler
        self._patience = patience
        self._troubles: dict[int, str] = {}
        self.error: Exception | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune writes its callbacks to a file that is never read back."""
        return {}

    @_kept
    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Trials that no node has room for would wait without a word."""
        del iteration, trials, info
        self._patience.look()

    @_kept
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A first or another attempt."""
        del iteration, trials, info
        config = trial.config
        number, replicate = config["trial"], config["replicate"]
        known = self._recorder.trials.get(number)
        self._recorder.started(
            Start(
                number=number,
                name=trial_name(self._job.study, config),
                origin=self._searcher.origin(number),
                attempt=config["attempt"] if known is None else known.attempt + 1,
                replicate=replicate,
                seed=trial_seed(self._job.study.search.seed, replicate),
                config=self._job.study.config(config["params"]),
                proposal=self._searcher.proposal(number),
                after=self._troubles.pop(number, ""),
            )
        )

    @_kept
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch. Once there is a new one, failures are counted anew: a cluster may lose a node every night."""
        del iteration, trials, info
        number = trial.config["trial"]
        before = self._recorder.trials[number].step
        self._recorder.epoch(number, result)
        if self._recorder.trials[number].step > before:
            trial.run_metadata.num_failures = 0

    @_kept
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The end, by itself or stopped."""
        del iteration, trials, info
        number = trial.config["trial"]
        self._job.desk.drop.remote(f"trial {number}")
        if number in self._scheduler.pruned:
            self._end(number, "PRUNED", self._scheduler.pruned[number])
        elif self._recorder.trials[number].step >= (trial.last_result or {}).get("planned", 1):
            self._end(number, "COMPLETE", "")
        else:
            self._end(number, "FAILED", "ended before its last epoch without an error")

    @_kept
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The end of a trial whose retries are used up."""
        del iteration, trials, info
        number = trial.config["trial"]
        self._job.desk.drop.remote(f"trial {number}")
        error = _told(trial)
        self._refuse_full_disk(number, error)
        path = self._job.folder / "trials" / self._recorder.trials[number].name / "error.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{error}\n", encoding="utf-8")
        self._end(number, "FAILED", last_line(error))

    @_kept
    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A failure that is tried again."""
        del iteration, trials, info
        number, error = trial.config["trial"], _told(trial)
        self._job.desk.drop.remote(f"trial {number}")
        self._refuse_full_disk(number, error)
        self._troubles[number] = last_line(error)
        self._recorder.display.say(f"trial {self._recorder.trials[number].name} is tried again: {last_line(error)}")

    def _refuse_full_disk(self, number: int, error: str) -> None:
        """A disk that takes no more costs no trial: the run ends, the trial stays unfinished and is carried on."""
        if any(f"[Errno {code}]" in last_line(error) for code in NO_ROOM):
            raise RunError(
                f"trial {number} could not write: {last_line(error)}. Make room, or make the folder writable, and "
                "call `run` again; it goes on from the last finished epoch."
            )

    def _end(self, number: int, state: EndState, reason: str) -> None:
        told = self._recorder.trials[number]
        _pass_on(self._job.desk, self._recorder.display)
        true = self._searcher.tell(number, state, told.metrics.get("score"), told.metrics)
        self._recorder.ended(number, true, reason)


def _told(trial: Any) -> str:
    """What Ray has on record of a trial's failures: on the driver's own disk, or where that is full in the study."""
    try:
        return Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):
        return str(trial.get_error() or "no error on record")


@ray.remote
def _check_networks(networks: Sequence[Network], windows: Windows, n_mels: int, n_species: int, slots: Share) -> str:
    """Find out, before anything is trained, whether every network can be built, has its sites and hears windows.

    The answer is what trials compute on, which need not be what the driver's machine has.
    """
    if slots.gpus and not torch.cuda.is_available():
        raise InputError(
            f"[resources] gpus = {slots.gpus:g}: Ray counts a GPU on {platform.node()}, but torch {torch.__version__} "
            "cannot use it. Install torch for this GPU, or give gpus = 0."
        )
    for one in networks:
        network.check(one, windows, n_mels, n_species)
    torch.set_num_threads(slots.threads)
    return str(compute.best())


def _answer(tested: Any, study: Study, display: Display) -> str:
    """Wait for `_check_networks`; what a user can mend is raised as it was worded there, without Ray's traceback."""
    if any(one.pretrained == "hub" for one in networks(study)) and not ray.wait([tested], timeout=1.0)[0]:
        display.say("the backbone's pretrained weights are looked for in the cache and on the Hugging Face hub")
    try:
        return str(ray.get(tested))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        raise
