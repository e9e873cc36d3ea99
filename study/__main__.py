"""The command line: which verbs there are, and how each ends. One function a verb, in the four `verbs_of_` modules."""

from __future__ import annotations

import errno
import gc
import shlex
import signal
import sys

import typer

from study import verbs_of_audit, verbs_of_data, verbs_of_models, verbs_of_studies
from study.leave import leave

app = typer.Typer(
    name="rfcx-study",
    help="Which training choices really help a detector of animal sounds?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

INTERRUPTED = 130
SELDOM = 10_000
"""New objects between two looks for garbage, not hundreds: to import torch and Ray makes many that are none."""

RESUMES = ("prepare", "run", "confirm", "train", "predict")
UNWRITABLE = (errno.ENOTDIR, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTEMPTY)
NO_PATH = (errno.ENAMETOOLONG, errno.ELOOP)
FULL = (errno.ENOSPC, errno.EDQUOT)

app.command()(verbs_of_models.demo)
app.command()(verbs_of_data.synthesize)
app.command()(verbs_of_data.check)
app.command("prepare")(verbs_of_data.prepare_)
app.command()(verbs_of_studies.knobs)
app.command()(verbs_of_studies.plan)
app.command()(verbs_of_studies.run)
app.command()(verbs_of_studies.report)
app.command()(verbs_of_studies.truth)
app.command()(verbs_of_studies.arms)
app.command()(verbs_of_studies.confirm)
app.command("compare")(verbs_of_studies.compare_)
app.command("export")(verbs_of_models.export_)
app.command()(verbs_of_models.train)
app.command()(verbs_of_models.predict)
app.command()(verbs_of_models.score)
app.command()(verbs_of_models.reproduce)
app.command()(verbs_of_audit.audit)
app.command()(verbs_of_audit.audited)


def main() -> None:
    """Run a verb; 0 done, 2 refused before work began, 1 failed after it began, 130 interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # job queues end a process so: as by Ctrl-C
    try:
        code = app(prog_name=app.info.name, standalone_mode=False) or 0  # typer answers `Exit` and Ctrl-C with a number
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        code = _refusal(error)
    if code == INTERRUPTED:
        typer.echo(_interrupted(sys.argv[1:]), err=True)
    sys.exit(code)


def command() -> None:
    """`main`, and then the end of this process."""
    gc.set_threshold(SELDOM)
    try:
        main()
    except SystemExit as ended:
        if ended.code is not None and not isinstance(ended.code, int):  # words, which Python prints
            raise
        leave(ended.code or 0)


def _interrupted(words: list[str]) -> str:
    if words and words[0] in RESUMES:
        from study.machine import uv_run

        return f"interrupted; the same call goes on where it was: {uv_run()}{shlex.join(['rfcx-study', *words])}"
    return "interrupted"


def _refusal(error: Exception) -> int:
    """Print a user's mistake or a failed run in a line or two; anything else is a defect and keeps its traceback."""
    from rfcx_model.errors import InputError, RunError, printable
    from study.events import LedgerError
    from study.trials import LostLedgerError

    if isinstance(error, InputError | LedgerError):
        typer.echo(f"rfcx-study: {printable(str(error))}", err=True)
        return 2
    show = getattr(error, "show", None)
    if show is not None:
        from study.wrong_call import wrong_call

        said = wrong_call(error)
        show() if said is None else typer.echo(printable(said), err=True)
        return 2
    if isinstance(error, RunError | LostLedgerError):
        typer.echo(f"rfcx-study: {printable(str(error))}", err=True)
        return 1
    if isinstance(error, OSError) and error.errno in {*UNWRITABLE, *NO_PATH, *FULL}:
        typer.echo(f"rfcx-study: {printable(_no_room(error))}", err=True)
        return 1 if error.errno in FULL else 2
    raise error


def _no_room(error: OSError) -> str:
    from rfcx_model.errors import cut

    path = error.filename or "the disk"
    if error.errno in NO_PATH:
        return f"{cut(str(path))}: must be a path that can be followed, but: {error.strerror}. Give another path."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{path}: a folder is needed, but a file stands there. Give another path."
    return f"{path}: {error.strerror}. Make room or give another path."


if __name__ == "__main__":
    command()
