"""An option of a job, as its author describes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from lowmem.protocol.value_checks import is_default, is_texts, require

OptionKind = Literal["int", "float", "str", "flag", "ints", "floats", "texts", "path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a job, given as ``--name`` with dashes or in lowmem.toml.

    Attributes
    ----------
    name
        With underscores: ``batch_size`` is typed ``--batch-size``.
    kind
        How its text is read. ``flag`` also gives ``--no-name``; ``ints``, ``floats`` and
        ``texts`` are lists such as ``64,128``; ``path`` is made absolute.
    default
        Its value where the user gives none; None means "chosen by the job".
    help
        One line for ``--help``.
    choices
        The only values allowed, if any.
    minimum
        The smallest value allowed, of a number.
    is_recipe
        Whether the result depends on it. Changing it in mid-job is then refused.
    is_shared
        Whether ``run all`` passes it to this job.
    is_input
        Of a path: whether the job reads what is there, see `Job.inputs`.
    is_extent
        Of a number: whether more of it is more of the same, so that a finished run is
        continued by one that asks for more: see `Job.extents`.
    is_required
        Whether it must be given; then it has no default.
    """

    name: str
    kind: OptionKind
    default: Any = None
    help: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    is_recipe: bool = True
    is_shared: bool = True
    is_input: bool = True
    is_extent: bool = False
    is_required: bool = False

    def __post_init__(self) -> None:
        rule = "lower-case letters, digits and _"
        is_name = re.fullmatch(r"[a-z][a-z0-9_]*", str(self.name)) is not None
        require("name", rule, self.name, holds=is_name)
        kinds = get_args(OptionKind)
        require("kind", " or ".join(kinds), self.kind, holds=self.kind in kinds)
        require("help", "text", self.help, holds=isinstance(self.help, str))
        require("choices", "texts", self.choices, holds=is_texts(self.choices))
        is_number = self.minimum is None or type(self.minimum) in {int, float}
        require("minimum", "a number", self.minimum, holds=is_number)
        rule = f"of the option's kind {self.kind}: finite, and of a list at least one"
        is_good = is_default(self.kind, self.default)
        require("default", rule, self.default, holds=is_good)
        given = (
            self.default if isinstance(self.default, list | tuple) else [self.default]
        )
        rule = f"one of {', '.join(self.choices)}"
        is_one = not self.choices or self.default in (None, *self.choices)
        require("default", rule, self.default, holds=is_one)
        least = self.minimum
        is_least = least is None or all(one is None or one >= least for one in given)
        require("default", f"at least {least}", self.default, holds=is_least)
        rule = "None where it must be given"
        has_none = self.default is None or not self.is_required
        require("default", rule, self.default, holds=has_none)
