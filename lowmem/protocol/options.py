"""Options of a job: from text, TOML or Python values to the values a job is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lowmem.base.errors import MissingOptionError, OptionValueError, UnknownOptionError
from lowmem.base.suggestions import did_you_mean
from lowmem.protocol.option import Option, OptionKind

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def resolve_options(
    job: str, options: Iterable[Option], given: Mapping[str, Any], *, typed: str = ""
) -> dict[str, Any]:
    """Return a value for every option: what was given, checked, or its default.

    Parameters
    ----------
    job
        Its name, for messages.
    options
        The options that it declares.
    given
        Values by option name (with underscores), as text or already typed.
    typed
        What is typed for the job, where it is not its name.

    Raises
    ------
    UnknownOptionError
        If a name in ``given`` is none of them.
    OptionValueError
        If a value breaks its option's rule.
    MissingOptionError
        If one that must be given is not.
    """
    declared = {option.name: option for option in options}
    for name in given:
        if name not in declared:
            raise UnknownOptionError(
                option=flag_of(name),
                job=job,
                known=[flag_of(o) for o in declared],
                hint=did_you_mean(flag_of(name), map(flag_of, declared)),
                typed=typed,
            )
    values = {
        name: value_of(option, given[name]) if name in given else _default(option)
        for name, option in declared.items()
    }
    for name, option in declared.items():
        if option.is_required and values[name] is None:
            raise MissingOptionError(
                option=flag_of(name), job=job, expected=_rule(option), typed=typed
            )
    return values


def _default(option: Option) -> Any:  # noqa: ANN401 - of the option's kind
    # A path that is written in a job's file means what it means when it is typed.
    is_path = option.kind == "path"
    return value_of(option, option.default) if is_path else option.default


def flag_of(name: str) -> str:
    """Return how an option is typed.

    Examples
    --------
    >>> flag_of("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


def words_of(name: str, value: object) -> tuple[str, ...]:
    """Return how a checked value of an option is typed; nothing for None.

    Examples
    --------
    >>> words_of("filters", [64, 128]), words_of("batch_norm", False)
    (('--filters', '64,128'), ('--no-batch-norm',))
    """
    flag = flag_of(name)
    if value is None:
        return ()
    if isinstance(value, bool):
        return (flag if value else flag_of(f"no_{name}"),)
    listed = list(value) if isinstance(value, list | tuple) else [value]
    text = ",".join(str(one) for one in listed)
    # A word that looks like an option is one.
    return (f"{flag}={text}",) if text.startswith("-") else (flag, text)


def value_of(option: Option, given: Any) -> Any:  # noqa: ANN401 - TOML's values
    """Return the checked value of one option.

    Raises
    ------
    OptionValueError
        If ``given`` breaks the option's rule.
    """
    try:
        value = _parsed(option, given)
    except (ValueError, TypeError) as error:
        raise OptionValueError(
            option=flag_of(option.name), value=given, expected=_rule(option)
        ) from error
    numbers = value if isinstance(value, list) else [value]
    too_small = option.minimum is not None and any(
        isinstance(number, int | float) and not number >= option.minimum
        for number in numbers
    )
    if too_small or (option.choices and value not in option.choices):
        raise OptionValueError(
            option=flag_of(option.name), value=given, expected=_rule(option)
        )
    return value


def _parsed(option: Option, given: Any) -> Any:  # noqa: ANN401
    parse, _ = _KINDS[option.kind]
    return None if given is None else parse(given)


def _int(given: Any) -> int:  # noqa: ANN401
    if isinstance(given, bool) or (isinstance(given, float) and given % 1):
        raise ValueError
    return int(given)


def _float(given: Any) -> float:  # noqa: ANN401
    value = float(given)
    if isinstance(given, bool) or not math.isfinite(value):
        raise ValueError
    return value


def _list_of(parse: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def parse_all(given: Any) -> list[Any]:  # noqa: ANN401
        parts = given.split(",") if isinstance(given, str) else list(given)
        if not parts:
            raise ValueError
        return [parse(part) for part in parts]

    return parse_all


def _text(given: Any) -> str:  # noqa: ANN401
    text = str(given)
    # One with a comma would be two where the command is typed again.
    if not text or "," in text:
        raise ValueError
    return text


def _path(given: Any) -> str:  # noqa: ANN401
    # An empty path would be the current folder.
    if not given:
        raise ValueError
    try:
        return str(Path(given).expanduser().absolute())
    except RuntimeError as error:  # The home of a user whom nobody knows.
        raise ValueError from error


def _flag(given: Any) -> bool:  # noqa: ANN401
    if isinstance(given, bool):
        return given
    word = str(given).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _rule(option: Option) -> str:
    if option.choices:
        return " or ".join(option.choices)
    least = f" of at least {option.minimum:g}" if option.minimum is not None else ""
    _, noun = _KINDS[option.kind]
    return noun + least


# How each kind is read, and what it is called.
_KINDS: dict[OptionKind, tuple[Callable[[Any], Any], str]] = {
    "int": (_int, "a whole number"),
    "float": (_float, "a number"),
    "str": (str, "text"),
    "flag": (_flag, "yes or no"),
    "ints": (_list_of(_int), "whole numbers such as 64,128"),
    "floats": (_list_of(_float), "numbers such as 0.5,1"),
    "texts": (_list_of(_text), "texts without commas in them, such as a,b"),
    "path": (_path, "a path"),
}
