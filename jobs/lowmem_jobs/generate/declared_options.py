"""The options of `generate`, and which of them make sense together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowmem import Option
from lowmem.base import DataError, OptionValueError
from lowmem.stores import read_array_info
from lowmem_jobs.generate.option_values import (
    ALL,
    METHODS,
    OF_PRINCIPAL_AXES,
    PATH,
    PATH_KINDS,
    method_of,
    rows_named,
)
from lowmem_jobs.model.import_consent import CODE, check_model_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem import PlanContext

OPTIONS = (
    Option(
        name="method",
        kind="str",
        choices=(*METHODS, PATH, ALL),
        help="Region and distribution of the vectors, ellipses by default; independent "
        "and uniform are contrasts; all draws, scores and compares each.",
    ),
    Option(
        name="count",
        kind="int",
        default=64,
        minimum=1,
        help="Vectors to draw, and to decode unless --images says less, of each method; "
        "of more than before the first are taken over.",
        is_extent=True,
    ),
    Option(
        name="images",
        kind="int",
        minimum=1,
        help="Decode and score the first so many vectors of each method, all by default; "
        "the others are drawn, checked and stored.",
        is_extent=True,
    ),
    Option(
        name="sigma",
        kind="float",
        minimum=0.01,
        help="Reach of box, both ellipses and uniform in standard deviations, 3 by default; "
        "of --near, 0.5.",
    ),
    Option(
        name="quantile",
        kind="float",
        default=0.9,
        minimum=1e-6,
        help="Share of the fitted normal that ball keeps, at most 1.",
    ),
    Option(
        name="components",
        kind="int",
        minimum=1,
        help="Leave out all principal components but the first so many.",
    ),
    Option(
        name="near",
        kind="int",
        minimum=0,
        help="Draw around this image, a row of images.zarr, with --sigma.",
    ),
    Option(
        name="from_index",
        kind="int",
        minimum=0,
        help="Of --method path: the image where it begins, a row of images.zarr.",
    ),
    Option(
        name="to_index",
        kind="int",
        minimum=0,
        help="Of --method path: the image where it ends.",
    ),
    Option(
        name="path_kind",
        kind="str",
        choices=PATH_KINDS,
        help="Of --method path: straight (the default), or at the Mahalanobis radius of "
        "its ends.",
    ),
    Option(
        name="vectors",
        kind="path",
        help="A .npy file (n, d) of vectors: --near, --from-index and --to-index are "
        "rows of it instead of images.zarr.",
    ),
    Option(
        name="batch_size",
        kind="int",
        minimum=1,
        help="Images decoded at once; by default 16, fewer of more than 96 pixels.",
        is_shared=False,
    ),
    CODE,
)

_ENDS = ("from_index", "to_index")


def check(plan: PlanContext) -> None:
    """Refuse options that cannot be meant, alone or together.

    Raises
    ------
    OptionValueError
        If there is such an option.
    DataError
        If the file of vectors is missing, or the user has not given their word for
        the code of the model.
    """
    options = plan.options
    check_model_code(plan, "generate", plan.workspace.model / "decoder.keras")
    if options["quantile"] > 1:
        raise _refusal(options, "quantile", "a share, above 0 and at most 1")
    if options["near"] is not None and options["method"]:
        raise _refusal(options, "method", "none beside --near, a method by itself")
    _check_path(options)
    _check_vectors(options)
    _check_rows(plan)
    _check_components(plan)


def _refusal(options: Mapping[str, Any], name: str, expected: str) -> OptionValueError:
    typed = "--" + name.replace("_", "-")
    return OptionValueError(option=typed, value=options[name], expected=expected)


def _check_path(options: Mapping[str, Any]) -> None:
    """Refuse a path without ends, and ends without a path."""
    is_path = method_of(options) == PATH
    for name in (*_ENDS, "path_kind"):
        if not is_path and options[name] is not None:
            raise _refusal(options, name, f"none without --method {PATH}")
    for name in _ENDS:
        if is_path and options[name] is None:
            raise _refusal(options, name, f"a row of images.zarr, for --method {PATH}")
    if is_path and options["from_index"] == options["to_index"]:
        raise _refusal(options, "to_index", "another row than that of --from-index")


def _check_vectors(options: Mapping[str, Any]) -> None:
    """Refuse a file of vectors that is not there, or of which no row is named."""
    path = options["vectors"]
    if path and not rows_named(options):
        raise _refusal(options, "vectors", f"none without --near or --method {PATH}")
    if path and not Path(path).is_file():
        raise DataError(
            thing=path, problem="is missing or no file", expected="a .npy file"
        )


def _check_rows(plan: PlanContext) -> None:
    """Refuse rows that the image store does not have, where there is one."""
    if plan.options["vectors"]:
        return
    images = read_array_info(plan.workspace.images / "images")
    for name in (*_ENDS, "near"):
        row = plan.options[name]
        if images is not None and row is not None and row >= images.shape[0]:
            last = images.shape[0] - 1
            raise _refusal(plan.options, name, f"a row of images.zarr, 0 to {last}")


def _check_components(plan: PlanContext) -> None:
    """Refuse more components than there are, and a method that knows none."""
    kept = plan.options["components"]
    if kept is None:
        return
    method = method_of(plan.options)
    if method not in {*OF_PRINCIPAL_AXES, ALL}:
        known = ", ".join((*OF_PRINCIPAL_AXES, ALL))
        raise _refusal(
            plan.options, "components", f"none but with --method {known}, not {method}"
        )
    mean = read_array_info(plan.workspace.analysis / "mean")
    if mean is not None and kept > mean.shape[0]:
        raise _refusal(
            plan.options, "components", f"at most {mean.shape[0]}, those analysed"
        )
