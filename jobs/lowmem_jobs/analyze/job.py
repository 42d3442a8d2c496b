"""What `analyze` is: its options and the memory it needs; imports nothing heavy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem import Job, Need, Option, PlanContext, Rung, Workspace
from lowmem.base import DataError, OptionValueError
from lowmem.stores import fingerprint, read_array_info
from lowmem_jobs.analyze.vector_header import latents_array, read_npy_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Fitted to the peaks of a worker in fifteen studies (100 to 400,000 rows, 4 to 1,024
# components, with and without figures): none is above, two blocks of many components
# are a sixth below. benchmarks/analysis.py, part `peaks`, prints both.
# A worker with NumPy, Zarr and SciPy; planes of the cuts, histograms of projections.
_BASE_BYTES = 113 * 10**6
# Of a block in float64: while rows are turned into the frame of the axes, itself, the
# next of its file, the turned rows, their squares, and half a copy in float32.
_BLOCK_COPIES = 3.6
# Directions of the projections, and rows along them; shells' and pairs' d x d sums.
_BYTES_PER_FEATURE = 50_000
_MATRICES = 5
# The same with Matplotlib, and what figures and tables hold of each component. On Python
# 3.13 the libraries take 9 MB more of this than on 3.11, where it was fitted; with Colab's
# releases 14.
_DRAWING_BYTES = (152 if sys.version_info < (3, 12) else 161) * 10**6
_DRAWN_BYTES_PER_FEATURE = 130_000
# The pair of axes (2, 3) is followed from cut to cut where there are such axes, and few
# enough for the d x d moments of every cut. Its figure has a density for each.
_LEAST_TURNING, MOST_TURNING = 4, 512
_TURNING_BYTES = 14 * 10**6
# scikit-learn, which only its own solver loads.
_INCREMENTAL_BYTES = 60 * 10**6
# When the sweeps are done: what is left of them, and of each component's row of the
# matrices; each pair that there is, and those that are measured, counted and written.
_AFTER_SWEEPS_BYTES = 100 * 10**6
_BYTES_PER_POSSIBLE_PAIR = 48
_BYTES_PER_PAIR = 200
# Of a process that counts pairs; and of one that does it beside the worker.
_BYTES_PER_PAIR_ROW = 32
_HELPER_BYTES = 38 * 10**6
# Points of all pairs from which on helpers save more than their start takes.
_POINTS_WORTH_HELPERS = 2**28
# What a pair takes beside its points, in points: density, contours and scores.
_POINTS_OF_A_PAIR = 100_000
_N_HELPERS = 2
# Above this many components all pairs take more than a few minutes.
MAX_FEATURES_FOR_ALL = 512
DEFAULT_PAIRS = 100_000

_MOST_SHOWN = 8

# Of one block of rows; a function of the data's shape alone.
BLOCK_VALUES = 2**20

OPTIONS = (
    Option(
        name="latents",
        kind="path",
        help="vectors to analyze: a Zarr store or FILE.npy of (n, d) numbers "
        "[default: latents.zarr of the workspace]",
        is_shared=False,
    ),
    Option(
        name="pca",
        kind="str",
        default="auto",
        choices=("auto", "covariance", "incremental"),
        help="solver of the principal axes; auto takes the exact one, covariance",
    ),
    Option(
        name="standardise",
        kind="flag",
        default=False,
        help="measure along the principal axes of standardised components: those of "
        "the correlation instead of the covariance",
    ),
    Option(
        name="trim_fwhm",
        kind="float",
        minimum=0.1,
        help="drop rows with a component further than this many full widths at half "
        "maximum from its centre",
    ),
    Option(
        name="core",
        kind="float",
        minimum=0.5,
        help="find the inner core by iteration: the share of a Gaussian within its "
        "bound, such as 0.9",
    ),
    Option(
        name="pairs",
        kind="str",
        help="all, or N: the N pairs with the strongest correlation (with --frame pca: "
        "of the leading axes) [default: all up to 512 components, else 100000]",
    ),
    Option(
        name="frame",
        kind="str",
        default="raw",
        choices=("raw", "pca"),
        help="components whose pairs are measured: raw, or the principal axes",
    ),
    Option(
        name="show_pairs",
        kind="str",
        help="pairs to draw beside the leading, best and worst, such as 2-3,7-40",
    ),
    Option(
        name="against",
        kind="path",
        help="another workspace with an analysis: both studies side by side",
        is_shared=False,
    ),
    Option(name="figures", kind="flag", default=True, help="draw the figures"),
    Option(
        name="vector",
        kind="str",
        choices=("svg", "pdf"),
        help="draw each figure in this format too, beside its PNG: for print",
    ),
)


def latents_path(context: PlanContext) -> Path:
    """Return where the vectors are."""
    given: str | None = context.options["latents"]
    return context.workspace.latents if given is None else Path(given)


def summary_path(workspace: Workspace) -> Path:
    """Return where the numbers of an analysis are."""
    return workspace.figures / "summary.json"


def refuse_unless_analyzed(workspace: Workspace) -> None:
    """Raise a `DataError` where a workspace has no analysis to compare with."""
    if summary_path(workspace).is_file() and workspace.analysis.is_dir():
        return
    raise DataError(
        thing=workspace.root,
        problem="has no analysis" if workspace.root.exists() else "is missing",
        expected="a workspace with analysis.zarr and analysis/summary.json",
        todo=f"Run `lowmem run analyze --workspace {workspace.root}` first.",
    )


def _check(context: PlanContext) -> None:
    _check_pairs(context.options["pairs"])
    _check_shown(context)
    core: float | None = context.options["core"]
    if core is not None and core >= 1:
        raise OptionValueError(
            option="--core", value=str(core), expected="a share from 0.5 to below 1"
        )
    against = _against(context)
    if against and against.root.resolve() == context.workspace.root.resolve():
        raise OptionValueError(
            option="--against", value=str(against.root), expected="another workspace"
        )


def shown_pairs(text: str | None) -> tuple[tuple[int, int], ...]:
    """Return the pairs that ``--show-pairs`` names.

    Raises
    ------
    OptionValueError
        If it is no list of at most 8 pairs of different components.
    """
    pairs = []
    for part in (text or "").split(",") if text is not None else ():
        first, dash, second = part.strip().partition("-")
        is_pair = dash and first.isdecimal() and second.isdecimal()
        if not is_pair or int(first) == int(second):
            raise _wrong_pairs(text, "pairs of two components, such as 2-3,7-40")
        pairs.append((int(first), int(second)))
    if len(pairs) > _MOST_SHOWN:
        raise _wrong_pairs(text, f"at most {_MOST_SHOWN} pairs")
    return tuple(pairs)


def _wrong_pairs(text: str | None, expected: str) -> OptionValueError:
    return OptionValueError(option="--show-pairs", value=text, expected=expected)


def refuse_absent_pairs(text: str | None, n_features: int) -> None:
    """Raise an `OptionValueError` for ``--show-pairs`` of components that are not there."""
    largest = max((k for pair in shown_pairs(text) for k in pair), default=0)
    if largest >= n_features:
        raise _wrong_pairs(text, f"components from 0 to {n_features - 1}")


def _check_shown(context: PlanContext) -> None:
    path = latents_path(context)
    shape = _shape(path) if path.exists() else None
    # Where the vectors are yet to come, the worker checks the numbers.
    n_features = shape[1] if shape is not None else sys.maxsize
    refuse_absent_pairs(context.options["show_pairs"], n_features)


def _against(context: PlanContext) -> Workspace | None:
    given: str | None = context.options["against"]
    return None if given is None else Workspace.at(given)


def _needs(context: PlanContext) -> Sequence[Need]:
    if context.options["latents"] is None:
        return (Need(path=context.workspace.latents, job="encode"),)
    return ()


def _check_pairs(value: str | None) -> None:
    if value in (None, "all") or (value.isdecimal() and int(value) > 0):
        return
    raise OptionValueError(
        option="--pairs", value=value, expected="all, or a number above 0"
    )


def _inputs(context: PlanContext) -> Mapping[str, str]:
    path = latents_path(context)
    if not path.exists():
        raise DataError(
            thing=path,
            problem="is missing",
            expected="a Zarr store or a .npy file of (n, d) numbers",
        )
    inputs = {"latents": fingerprint(path)}
    features = context.workspace.images / "features"
    if context.options["latents"] is None and features.exists():
        inputs["features"] = fingerprint(features)
    against = _against(context)
    if against:
        refuse_unless_analyzed(against)
        inputs["against"] = fingerprint(against.analysis)
        inputs["against summary"] = fingerprint(summary_path(against))
    return inputs


def _ladder(_: PlanContext) -> Sequence[Mapping[str, int]]:
    alone = [{"pair_rows": rows, "pair_helpers": 0} for rows in (2**18, 2**16, 2**14)]
    return ({**alone[0], "pair_helpers": _N_HELPERS}, *alone)


def _predict(context: PlanContext, settings: Mapping[str, int]) -> Rung:
    shape = _shape(latents_path(context))
    if shape is None:
        return Rung(settings=settings)
    n, d = shape
    options = context.options
    # A core's covariance is kept to the end.
    matrices = (_MATRICES + (options["core"] is not None)) * 8 * d * d
    in_sweeps = (
        _BASE_BYTES
        + int(_BLOCK_COPIES * 8 * min(n * d, BLOCK_VALUES))
        + _BYTES_PER_FEATURE * d
        + matrices
    )
    n_measured = _n_measured(options["pairs"], d)
    of_pairs = _BYTES_PER_POSSIBLE_PAIR * _n_possible(d) + _BYTES_PER_PAIR * n_measured
    n_helpers = n_pair_helpers(settings, n_rows=n, n_pairs=n_measured)
    in_pairs = (
        _AFTER_SWEEPS_BYTES
        + matrices
        + of_pairs
        + _HELPER_BYTES * n_helpers
        + _BYTES_PER_PAIR_ROW * min(n, settings["pair_rows"]) * max(n_helpers, 1)
    )
    is_turning = _LEAST_TURNING <= d <= MOST_TURNING
    in_figures = (
        _DRAWING_BYTES
        + _DRAWN_BYTES_PER_FEATURE * d
        + _TURNING_BYTES * is_turning
        + of_pairs
    )
    stages = (in_sweeps, in_pairs, in_figures if options["figures"] else 0)
    ram_bytes = max(stages) + _INCREMENTAL_BYTES * (options["pca"] == "incremental")
    return Rung(settings=settings, ram_bytes=ram_bytes)


def _n_possible(n_features: int) -> int:
    return n_features * (n_features - 1) // 2


def _n_measured(asked: str | None, n_features: int) -> int:
    n_possible = _n_possible(n_features)
    return min(n_pairs_wanted(asked, n_features) or n_possible, n_possible)


def n_pair_helpers(settings: Mapping[str, int], *, n_rows: int, n_pairs: int) -> int:
    """Return how many processes beside the worker count pairs; 0 if it does itself.

    Parameters
    ----------
    settings
        Of the rung.
    n_rows, n_pairs
        Rows that are counted, and pairs that are measured.
    """
    n_points = n_pairs * (n_rows + _POINTS_OF_A_PAIR)
    is_worth_it = n_points >= _POINTS_WORTH_HELPERS
    return settings["pair_helpers"] * is_worth_it


def n_pairs_wanted(asked: str | None, n_features: int) -> int | None:
    """Return how many pairs to measure at most; None for all.

    Parameters
    ----------
    asked
        The option ``--pairs``: "all", a number, or None for the default.
    n_features
        Number of components.
    """
    if asked not in (None, "all"):
        return int(asked)
    is_limited = asked is None and n_features > MAX_FEATURES_FOR_ALL
    return DEFAULT_PAIRS if is_limited else None


def _shape(path: Path) -> tuple[int, ...] | None:
    """Return (n, d) of the vectors; None where the worker will have to say why not."""
    if path.is_file():
        shape = read_npy_shape(path)
    else:
        info = read_array_info(path / (latents_array(path) or ""))
        shape = info.shape if info else None
    return shape if shape is not None and len(shape) == 2 else None  # noqa: PLR2004


JOB = Job(
    name="analyze",
    work="lowmem_jobs.analyze.work:work",
    summary="Measure how the latent vectors are distributed: moments, axes, every pair.",
    unit="steps",
    version=5,
    options=OPTIONS,
    ladder=_ladder,
    predict=_predict,
    check=_check,
    needs=_needs,
    inputs=_inputs,
    uses_device=False,
    is_whole_for="its passes are sums over all rows, which shards do not make yet",
)
