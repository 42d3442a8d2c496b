"""Every key of lowmem.toml, from what reads it: as a file to begin with, and as a schema.

The keys of ``[run]`` are those that `with_config` takes; what each means is what
`lowmem run --help` says of it. A job's are its options. So nothing here can tell of a key
that is not read, or leave one out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lowmem.base.errors import OptionValueError
from lowmem.base.wrapping import wrapped
from lowmem.pipeline.orders import DEFAULT_SEED, RunOptions, with_config
from lowmem.protocol.option import Option, OptionKind

_WIDTH = 88
Value = str | int | float | bool | list[int] | list[float] | list[str]
KeyKind = OptionKind | Literal["size", "duration"]
# By the placeholder of the value on the command line.
_KINDS_OF_PLACEHOLDERS: dict[str, KeyKind] = {
    "SIZE": "size",
    "DURATION": "duration",
    "N": "int",
    "K": "int",
    "URL": "str",
}
# What holds where a key of [run] without a default is not set.
_UNSET = {
    "ram_budget": "by default what `lowmem doctor` says",
    "vram_budget": "by default what `lowmem doctor` says",
    "time_budget": "no limit by default",
    "recycle_every": "never by default",
    "mirror": "none by default",
}
_RULES: dict[KeyKind, str] = {
    "size": "size, 10G is 10^10 bytes, 10Gi is 10 x 2^30",
    "duration": "duration, in d, h, m and s",
    "int": "whole number",
    "float": "number",
    "str": "text",
    "flag": "true or false",
    "ints": "whole numbers",
    "floats": "numbers",
    "texts": "texts",
    "path": "path",
}
_EXAMPLES: dict[KeyKind, Value] = {
    "size": "10G",
    "duration": "90m",
    "flag": True,
    "str": "TEXT",
    "path": "PATH",
    "ints": [64, 128],
    "floats": [0.5, 1.0],
    "texts": ["a", "b"],
}
_SIZE_PATTERN = r"^\s*\d+(\.\d+)?\s*([KMGTkmgt][Ii]?)?[Bb]?\s*$"
_DURATION_PATTERN = r"^\s*(auto|(?=.*\d)(\d+d)?(\d+h)?(\d+m)?(\d+(\.\d+)?s)?)\s*$"
# Below it a bare number is a size whose unit was forgotten.
_LEAST_BARE_SIZE = 10**6
_SCHEMAS: dict[KeyKind, dict[str, object]] = {
    "size": {
        "anyOf": [
            {"type": "string", "pattern": _SIZE_PATTERN},
            {"type": "integer", "minimum": _LEAST_BARE_SIZE},
        ]
    },
    "duration": {"type": "string", "pattern": _DURATION_PATTERN},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "flag": {"type": "boolean"},
    "path": {"type": "string", "minLength": 1},
}
# Of what the lists of a kind hold.
_ITEM_SCHEMAS: dict[KeyKind, dict[str, object]] = {
    "ints": {"type": "integer"},
    "floats": {"type": "number"},
    "texts": {"type": "string", "pattern": "^[^,]+$"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a table.

    Attributes
    ----------
    name
        As it is written: with dashes.
    default
        None where nothing is set; ``unset`` then says what holds.
    meaning
        A sentence or more.
    """

    name: str
    kind: KeyKind
    default: Value | None
    meaning: str
    unset: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigTable:
    """One table of the file."""

    name: str
    meaning: str
    keys: tuple[Key, ...]


class DescribedKey(Protocol):
    """What a job tells of itself."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def summary(self) -> str:
        """What it does, in a sentence."""

    @property
    def options(self) -> Sequence[Option]:
        """What it takes."""


def tables_of(root: object, jobs: Iterable[DescribedKey]) -> list[ConfigTable]:
    """Return every table of the file: that of all runs first.

    Parameters
    ----------
    root
        The command line.
    """
    run = ConfigTable(
        name="run", meaning="What every run takes.", keys=tuple(_keys_of_run(root))
    )
    return [run, *(_table_of(job) for job in jobs)]


def text_from_tables(tables: Iterable[ConfigTable], schema: str = "") -> str:
    """Return the file: every key with its default, commented out where it has none.

    Parameters
    ----------
    schema
        The address of its schema, for editors; none is named where it is empty.
    """
    head = [f"#:schema {schema}"] if schema else []
    head += _comment(
        "Options of the jobs in this workspace. What stands here is what holds without "
        "this file; a line that begins with # sets nothing. The command line wins. A job "
        "of a file of yours may have a table of its name, too."
    )
    return "\n\n".join(["\n".join(head), *map(_table_text, tables)]) + "\n"


def _table_text(table: ConfigTable) -> str:
    parts = ["\n".join([*_comment(table.meaning), f"[{table.name}]"])]
    return "\n\n".join([*parts, *map(_key_text, table.keys)])


def _key_text(key: Key) -> str:
    rule = " | ".join(key.choices) or _RULES[key.kind]
    if key.minimum is not None:
        rule += f", at least {key.minimum:g}"
    told = [rule, *([key.unset] if key.default is None and key.unset else [])]
    is_set = key.default is not None
    mark = "" if is_set else "# "
    value = key.default if key.default is not None else _example(key)
    line = f"{mark}{key.name} = {_toml(value)}"
    return "\n".join([*_comment(f"{key.meaning} ({'; '.join(told)})".strip()), line])


def _comment(text: str) -> list[str]:
    return wrapped(text, _WIDTH, first="# ", later="# ")


def _example(key: Key) -> Value:
    """Return a value that a key without a default may have."""
    if key.choices:
        return key.choices[0]
    if key.kind in _EXAMPLES:
        return _EXAMPLES[key.kind]
    least = key.minimum if key.minimum is not None else 1
    return float(least) if key.kind == "float" else int(least)


def _toml(value: Value) -> str:
    # Of these types TOML has JSON's form, but for numbers like 1e-12, which it has too.
    return json.dumps(value)


def _keys_of_run(root: object) -> Iterable[Key]:
    run = getattr(root, "commands", {})["run"]
    # Of whichever click: typer brings its own, or takes the one that is installed.
    words = {getattr(word, "name", None): word for word in run.params}
    for name in RunOptions.__dataclass_fields__:
        if _is_read(name):
            yield _key_of_run(name, words[name])


def _is_read(name: str) -> bool:
    """Return whether ``[run]`` may hold a key: what reads it is asked."""
    return _is_taken(name, getattr(RunOptions(), name))


def _is_taken(name: str, value: object) -> bool:
    try:
        with_config(RunOptions(), {name: value})
    except OptionValueError:
        return False
    return True


def _key_of_run(name: str, word: object) -> Key:
    placeholder = str(getattr(word, "metavar", None) or "")
    kind: KeyKind = _KINDS_OF_PLACEHOLDERS.get(placeholder, "str")
    choices = tuple(placeholder.split("|")) if "|" in placeholder else ()
    default: Value | None = choices[0] if choices else None
    least = None
    if getattr(RunOptions(), name) is False:
        kind, default = "flag", False
    elif kind == "int":
        least = next(n for n in (0, 1) if _is_taken(name, n))
        default = DEFAULT_SEED if name == "seed" else None
    return Key(
        name=name.replace("_", "-"),
        kind=kind,
        default=default,
        meaning=_without_default(str(getattr(word, "help", None) or "")),
        unset=_UNSET.get(name, ""),
        choices=choices,
        minimum=least,
    )


def _without_default(text: str) -> str:
    """Return a meaning without its default, which the file gives itself."""
    return re.sub(r" Default \S+\.$", "", text)


def _table_of(job: DescribedKey) -> ConfigTable:
    keys = [
        Key(
            name=option.name.replace("_", "-"),
            kind=option.kind,
            default=_listed(option.default),
            meaning=option.help,
            choices=option.choices,
            minimum=option.minimum,
        )
        for option in job.options
    ]
    return ConfigTable(name=job.name, meaning=job.summary, keys=tuple(keys))


def _listed(default: object) -> Value | None:
    if isinstance(default, list | tuple):
        return list(default)
    if default is None or isinstance(default, str | int | float):
        return default
    return str(default)


# --- the schema ---------------------------------------------------------------------


def schema_from_tables(tables: Iterable[ConfigTable]) -> str:
    """Return the JSON schema of the file, draft 7, which editors of TOML know.

    What it takes is read. A number may also stand in the file as text: that is read, and
    not taken here. Tables that it does not name are those of other jobs.
    """
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "lowmem.toml",
        "description": "Options of the jobs in a workspace of lowmem.",
        "type": "object",
        "properties": {table.name: _table_schema(table) for table in tables},
        "additionalProperties": {"type": "object"},
    }
    return json.dumps(document, indent=2) + "\n"


def _table_schema(table: ConfigTable) -> dict[str, object]:
    # A key may be written with underscores, too.
    dashed = [key for key in table.keys if "-" in key.name]
    found: dict[str, object] = {
        "description": table.meaning,
        "type": "object",
        "properties": {key.name: _key_schema(key) for key in table.keys},
        "additionalProperties": False,
    }
    if dashed:
        found["patternProperties"] = {
            f"^{key.name.replace('-', '[-_]')}$": _rule_schema(key) for key in dashed
        }
    return found


def _key_schema(key: Key) -> dict[str, object]:
    found: dict[str, object] = {"description": key.meaning, **_rule_schema(key)}
    if key.default is not None:
        found["default"] = key.default
    return found


def _rule_schema(key: Key) -> dict[str, object]:
    if key.choices:
        return {"enum": list(key.choices)}
    least = {} if key.minimum is None else {"minimum": key.minimum}
    if key.kind in _ITEM_SCHEMAS:
        items = {**_ITEM_SCHEMAS[key.kind], **least}
        return {"type": "array", "items": items, "minItems": 1}
    return {**_SCHEMAS[key.kind], **least}
