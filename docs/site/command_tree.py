"""The commands of the command line with all that they take, read from typer's own tree.

What click knows (flags, metavar, help) is read from its objects, what Python knows (type,
default, smallest value) from the function's signature: typer keeps the latter in another
place from release to release. No help text is rendered, so none can differ by a terminal.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS: dict[object, str] = {
    bool: "switch",
    int: "whole number",
    float: "number",
    Path: "path",
}
# What a text is to be, by its metavar.
_TEXTS = {"SIZE": "size", "DURATION": "duration"}
# typer's own, of which each release says something else.
_COMPLETION = {
    "install_completion": "Let the shell complete commands, options and job names.",
    "show_completion": "Print what the shell would have to read for that.",
}
_HELP = "Explain the command."


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One argument or option.

    Attributes
    ----------
    flags
        As typed, dashes included; empty for an argument.
    metavar
        What stands for the value; empty for a switch.
    kind
        What the value is.
    default
        As it would be typed; empty where there is none.
    variable
        The environment variable that gives it; empty where there is none.
    """

    flags: tuple[str, ...]
    metavar: str
    kind: str
    default: str
    help: str
    is_required: bool
    variable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command with what it takes, in the order of its help."""

    name: str
    help: str
    epilog: str
    arguments: tuple[Word, ...]
    options: tuple[Word, ...]
    has_commands: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    """What the signature says of one parameter."""

    kind: str = "switch"
    default: str = ""


def commands_of(tree: Any, parent: Any = None) -> Iterator[Command]:  # noqa: ANN401 - click's
    """Yield a command and all below it, in the order in which they are declared.

    Parameters
    ----------
    tree
        What `typer.main.get_command` returns.
    parent
        The context of the command above.
    """
    context = tree.context_class(
        tree,
        info_name=tree.name or "lowmem",
        parent=parent,
        **tree.context_settings,
    )
    declared = _signature_of(tree)
    words = [
        (p.param_type_name, _word(p, declared))
        for p in tree.get_params(context)
        if not getattr(p, "hidden", False)
    ]
    below = getattr(tree, "commands", {})
    yield Command(
        name=context.command_path.split(" [")[0],
        help=" ".join((tree.help or "").split()),
        epilog=" ".join((tree.epilog or "").split()),
        arguments=tuple(word for kind, word in words if kind == "argument"),
        options=tuple(word for kind, word in words if kind == "option"),
        has_commands=bool(below),
    )
    for command in below.values():
        yield from commands_of(command, context)


def _word(parameter: Any, declared: dict[str, _Declared]) -> Word:  # noqa: ANN401 - click's
    own = declared.get(parameter.name, _Declared())
    is_argument = parameter.param_type_name == "argument"
    text = getattr(parameter, "help", None) or ""
    flags = [*parameter.opts, *parameter.secondary_opts]
    if parameter.name == "help":
        # click's own, whose flags it keeps in a set.
        text, flags = _HELP, sorted(flags, key=len)
    metavar = parameter.metavar or parameter.name.upper()
    kind = _TEXTS.get(metavar, own.kind)
    if parameter.multiple:
        kind += ", may be repeated"
    variable = parameter.envvar or ""
    return Word(
        flags=() if is_argument else tuple(flags),
        metavar="" if own.kind == "switch" and not is_argument else metavar,
        kind=kind,
        default=own.default,
        help=_COMPLETION.get(parameter.name, " ".join(text.split())),
        is_required=bool(parameter.required),
        variable=variable if isinstance(variable, str) else ", ".join(variable),
    )


def _signature_of(tree: Any) -> dict[str, _Declared]:  # noqa: ANN401 - click's
    if tree.callback is None:
        return {}
    signature = inspect.signature(inspect.unwrap(tree.callback), eval_str=True)
    return {name: _declared(p) for name, p in signature.parameters.items()}


def _declared(parameter: inspect.Parameter) -> _Declared:
    annotation, least = parameter.annotation, None
    if get_origin(annotation) is Annotated:
        annotation, *notes = get_args(annotation)
        least = next(
            (n.min for n in notes if getattr(n, "min", None) is not None), None
        )
    kind = _kind(annotation)
    if least is not None:
        kind += f", at least {least}"
    return _Declared(kind=kind, default=_default(parameter.default))


def _kind(annotation: object) -> str:
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    if get_origin(annotation) is list or not kinds:
        return _KINDS.get(annotation, "text")
    return _kind(kinds[0])


def _default(value: object) -> str:
    # A switch is off, and a sentinel of click's is no default.
    is_told = isinstance(value, str | int | float | Path) and value is not False
    return str(value) if is_told else ""
