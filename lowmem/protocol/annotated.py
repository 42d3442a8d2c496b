"""Options of a job as the parameters of its function.

``def features(ctx, data: Path, columns: list[int] = (0, 1), *, scale: float = 1.0)`` has
the options ``--data``, which must be given, ``--columns`` and ``--scale``.
"""

from __future__ import annotations

import functools
import inspect
import types
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from lowmem.protocol.option import Option

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from lowmem.protocol.commit_point import CommitPoint
    from lowmem.protocol.context import Context
    from lowmem.protocol.job import Result, Work
    from lowmem.protocol.option import OptionKind

_KINDS: dict[object, OptionKind] = {
    int: "int",
    float: "float",
    str: "str",
    bool: "flag",
    Path: "path",
    list[int]: "ints",
    list[float]: "floats",
    list[str]: "texts",
}
_RULE = (
    "int, float, str, bool, Path, list[int], list[float], list[str], a Literal of texts, or "
    "one of these with | None"
)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def options_of(function: Callable[..., Any]) -> tuple[Option, ...]:
    """Return an option for each parameter of a function after its first, the context.

    Raises
    ------
    TypeError
        If it takes no context, or a parameter is of no kind that an option has.
    ValueError
        If a default is of another kind than its annotation, or a name cannot be typed.
    """
    if not inspect.isfunction(function):
        return ()  # A callable object, a part of a function: only `options` has them.
    found = list(inspect.signature(function).parameters.values())
    if not found or found[0].kind not in _NAMED[:1]:
        raise TypeError(
            f"job {function.__name__} takes no context, expected def "
            f"{function.__name__}(ctx, ...)."
        )
    return tuple(_option(function, one) for one in found[1:])


def called_with(function: Callable[..., Any], options: tuple[Option, ...]) -> Work:
    """Return the work that calls a function with the values of its options."""

    @functools.wraps(function)
    def work(context: Context) -> Generator[CommitPoint, None, Result | None]:
        values = {
            option.name: _given(option, context.options[option.name])
            for option in options
        }
        made: Generator[CommitPoint, None, Result | None] = function(context, **values)
        return made

    return work


def _given(option: Option, value: Any) -> Any:  # noqa: ANN401 - as options hold it
    is_path = option.kind == "path" and value is not None
    return Path(value) if is_path else value


def _hint_of(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:  # noqa: ANN401 - whatever an annotation is
    """Return an annotation that may be written as text; of this parameter alone."""
    alone = types.SimpleNamespace(
        __annotations__={parameter.name: parameter.annotation}
    )
    try:
        found = get_type_hints(
            alone, globalns=inspect.unwrap(function).__globals__, include_extras=True
        )
    except NameError as error:
        raise TypeError(
            f"parameter {parameter} of job {function.__name__} is annotated by a name "
            f"that is not there when it is run ({error}), expected {_RULE}."
        ) from error
    return found[parameter.name]


def _option(function: Callable[..., Any], parameter: inspect.Parameter) -> Option:
    name, job = parameter.name, function.__name__
    if parameter.kind not in _NAMED:
        raise TypeError(
            f"parameter {parameter} of job {job} takes any number of values, expected one "
            f"that is {_RULE}."
        )
    if parameter.annotation is inspect.Parameter.empty:
        raise TypeError(
            f"parameter {name} of job {job} has no annotation, expected {_RULE}."
        )
    hint, told = _plain(_hint_of(function, parameter))
    is_required = parameter.default is inspect.Parameter.empty
    default = None if is_required else parameter.default
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    kind = "str" if choices else _KINDS.get(hint)
    if kind is None or not all(isinstance(choice, str) for choice in choices):
        raise TypeError(f"parameter {name} of job {job} is {hint}, expected {_RULE}.")
    return Option(
        name=name,
        kind=kind,
        default=str(default) if isinstance(default, Path) else default,
        choices=choices,
        help=told,
        is_required=is_required,
    )


def _plain(hint: Any) -> tuple[Any, str]:  # noqa: ANN401 - whatever an annotation is
    """Return an annotation without ``| None``, and the text it is annotated with."""
    if get_origin(hint) is Annotated:
        inner, *notes = get_args(hint)
        plain, told = _plain(inner)
        return plain, next((note for note in notes if isinstance(note, str)), told)
    if get_origin(hint) in {Union, types.UnionType}:
        kinds = [one for one in get_args(hint) if one is not type(None)]
        return _plain(kinds[0]) if len(kinds) == 1 else (hint, "")
    # typing.List[int] is another object than list[int].
    is_list = get_origin(hint) is list and len(get_args(hint)) == 1
    return (types.GenericAlias(list, get_args(hint)) if is_list else hint), ""
