"""What a pack is to make, read from its options; only the standard library."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from lowmem.base import OptionValueError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

STORE = "table.zarr"
# Names of arrays that this job makes itself.
SPLIT, LABELS, FEATURES = "split", "labels", "features"
TEXT_TYPE, FLOAT_TYPE = "str", "float64"
NULLS = ("refuse", "nan")
AUTO = "auto"
# A code of a split is one byte.
_MOST_PARTS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRecipe:
    """What a pack is to make.

    Attributes
    ----------
    sources
        Files and folders as they were given, in the order of the rows.
    format
        Of all files; ``auto``: by their names.
    columns
        Those to take; None for all.
    features
        Those to be put side by side in one array.
    label
        The one that is stored as ``labels``; None for none.
    types
        What is asked of single columns: ``str`` or ``float64``.
    is_nan_null
        Whether a float that is missing becomes NaN.
    parts
        Names of a split's parts, and where each ends in [0, 1]; empty for no split.
    split_by
        The column whose equal values stay together; None: each row by itself.
    delimiter, has_header
        How texts of columns are written; None: by the name of the file.
    codec
        Compression of the store.
    """

    sources: tuple[str, ...]
    format: str
    columns: tuple[str, ...] | None
    features: tuple[str, ...]
    label: str | None
    types: Mapping[str, str]
    is_nan_null: bool
    parts: Mapping[str, float]
    split_by: str | None
    delimiter: str | None
    has_header: bool
    codec: str

    def takes(self, name: str) -> bool:
        """Return whether a column is wanted."""
        return self.columns is None or name in self.columns

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that options name, each once."""
        listed = [*(self.columns or ()), *self.features, *self.types]
        listed += [name for name in (self.label, self.split_by) if name is not None]
        return tuple(dict.fromkeys(listed))


def recipe_from_options(options: Mapping[str, Any]) -> PackRecipe:
    """Return what the options ask for.

    Raises
    ------
    OptionValueError
        If an option breaks its rule, or two of them contradict each other.
    """
    columns = options["columns"]
    for name in ("columns", "features"):
        _refuse_twice(f"--{name}", options[name] or ())
    recipe = PackRecipe(
        sources=tuple(options["source"]),
        format=options["format"],
        columns=None if columns is None else tuple(columns),
        features=tuple(options["features"] or ()),
        label=options["label"],
        types=_types(options["types"] or ()),
        is_nan_null=options["null"] == "nan",
        parts=_parts(options["split"] or ()),
        split_by=options["split_by"],
        delimiter=_delimiter(options["delimiter"]),
        has_header=options["header"],
        codec=options["codec"],
    )
    if recipe.split_by is not None and not recipe.parts:
        raise OptionValueError(
            option="--split-by",
            value=recipe.split_by,
            expected="a --split such as train=0.9,test=0.1 beside it",
        )
    if recipe.label is not None and recipe.label in recipe.features:
        raise OptionValueError(
            option="--label", value=recipe.label, expected="none of the --features"
        )
    _refuse_left_out(recipe)
    return recipe


def refuse_unused(recipe: PackRecipe, found: str) -> None:
    """Refuse options that mean nothing for files of a format.

    Raises
    ------
    OptionValueError
        For the first of them.
    """
    if found == "text" and recipe.types:
        raise OptionValueError(
            option="--types",
            value=",".join(f"{name}={wanted}" for name, wanted in recipe.types.items()),
            expected="nothing for lines of text, which are texts",
        )
    if found == "csv":
        return
    for option, value in (
        ("--delimiter", recipe.delimiter),
        ("--no-header", None if recipe.has_header else True),
    ):
        if value is not None:
            raise OptionValueError(
                option=option,
                value=value,
                expected=f"nothing for files of the kind {found}; it is for CSV alone",
            )


def _refuse_left_out(recipe: PackRecipe) -> None:
    for name in recipe.named:
        if not recipe.takes(name):
            raise OptionValueError(
                option="--columns",
                value=",".join(recipe.columns or ()),
                expected=f"{name} among them, which another option names",
            )


def _refuse_twice(option: str, names: Iterable[str]) -> None:
    listed = list(names)
    if len(set(listed)) < len(listed):
        raise OptionValueError(
            option=option, value=",".join(listed), expected="each column once"
        )


def _types(given: Sequence[str]) -> dict[str, str]:
    types: dict[str, str] = {}
    for text in given:
        name, _, wanted = text.rpartition("=")
        if not name or wanted not in {TEXT_TYPE, FLOAT_TYPE} or name in types:
            raise OptionValueError(
                option="--types",
                value=",".join(given),
                expected=f"COLUMN={TEXT_TYPE} or COLUMN={FLOAT_TYPE}, each column once",
            )
        types[name] = wanted
    return types


def _parts(given: Sequence[str]) -> dict[str, float]:
    """Return where each part of a split ends.

    Examples
    --------
    >>> _parts(["train=0.7", "test=0.3"])
    {'train': 0.7, 'test': 1.0}
    """
    ends: dict[str, float] = {}
    end = Fraction(0)
    for text in given:
        name, _, share = text.partition("=")
        try:
            # Exact: ten tenths are a whole.
            part = Fraction(share)
        except (ValueError, ZeroDivisionError):
            part = Fraction(0)
        if not name or name in ends or part <= 0:
            raise _split_refused(given)
        end += part
        ends[name] = float(end)
    if given and (end != 1 or len(ends) > _MOST_PARTS):
        raise _split_refused(given)
    return ends


def _split_refused(given: Sequence[str]) -> OptionValueError:
    return OptionValueError(
        option="--split",
        value=",".join(given),
        expected="NAME=SHARE,... with names that differ and shares that add up to 1",
    )


def _delimiter(given: str | None) -> str | None:
    delimiter = {"tab": "\t", "\\t": "\t"}.get(given or "", given)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise OptionValueError(
            option="--delimiter", value=given, expected="one character, or tab"
        )
    return delimiter
