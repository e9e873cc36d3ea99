"""A wrong call, told in this program's words whichever version of typer has noticed it."""

from __future__ import annotations

from typing import Any

from study.complaint import rule, shown


def wrong_call(error: Any) -> str | None:
    """What is told about an error of typer's: the verb, the rule, what was got, the way out. None: it has its own page.

    The errors are told apart by name: typer has them from click or brings its own, by its version.
    """
    kind = type(error).__name__
    context = getattr(error, "ctx", None)
    if kind == "NoArgsIsHelpError":
        return None
    path = "rfcx-study" if context is None else context.command_path
    return f"{path}: {_rule(kind, error)} See `{path} --help`."


def _rule(kind: str, error: Any) -> str:
    parameter = getattr(error, "param", None)
    name = _name(parameter)
    if kind == "MissingParameter":
        return f"{name} must be given."
    if kind == "BadParameter" and parameter is not None:
        faults: list[Any] = getattr(error.__cause__, "errors", list)()
        return f"{name} {rule(faults[0])}, but got {shown(faults[0]['input'])}." if faults else f"{name}: {error}"
    if kind == "NoSuchOption":
        near = error.possibilities or []
        return f"there is no option {error.option_name}." + (f" Did you mean {' or '.join(near)}?" if near else "")
    if kind == "BadOptionUsage":
        takes = "takes no value" if "does not take" in str(error.message) else "must have a value"
        return f"{error.option_name} {takes}."
    text = str(error.format_message()).rstrip(".")
    return text if text.endswith("?") else f"{text}."


def _name(parameter: Any) -> str:
    if parameter is None:
        return ""
    option = parameter.param_type_name == "option"
    return str(parameter.opts[0]) if option else f"{parameter.name.upper()}"
