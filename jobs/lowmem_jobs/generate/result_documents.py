"""What is told of the result: scores.json, the table of methods, the summary."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowmem_jobs.generate.generation_task import EIGENVALUE_FLOOR
from lowmem_jobs.generate.option_values import (
    ALL,
    PATH,
    method_of,
    path_kind_of,
    sigma_of,
)
from lowmem_jobs.generate.scoring import N_NEIGHBOURS, REAL, reconstruction
from lowmem_jobs.generate.search import why_no_search

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lowmem import Context
    from lowmem_jobs.generate.generation_task import GenerationTask

    Scores = Mapping[str, dict[str, Any]]

COLUMNS = (
    "method",
    "violations",
    "frechet",
    "round_trip_median",
    "round_trip_mean",
    "precision",
    "recall",
    "density",
    "coverage",
    "nearest_median",
    "share_nearer",
)
_NAMES = {"round_trip_median": "trip", "nearest_median": "nearest"}
_SHOWN = ("frechet", "round_trip_median", *COLUMNS[5:10])


def document(ctx: Context, task: GenerationTask, found: Scores) -> dict[str, Any]:
    """Return the content of scores.json: each score beside its baseline."""
    method = method_of(ctx.options)
    of_main, real = found[task.main.name], found[REAL]
    n_compared = min(task.n_scored, len(task.compared.rows) // 2)
    told = {
        "method": method,
        "count": task.n_vectors,
        "images": task.n_decoded,
        "seed": ctx.seed,
        "scores_are_of": task.main.name,
        "sigma": sigma_of(ctx.options),
        "quantile": ctx.options["quantile"],
        "components": ctx.options["components"],
        "near": ctx.options["near"],
        "path": _path(ctx),
        "vectors": ctx.options["vectors"] and Path(ctx.options["vectors"]).name,
        "promise": of_main["promise"],
        "violations": of_main["violations"],
        "real_images": {
            "n": len(task.compared.rows),
            "held_out": task.compared.are_held_out,
            "why_not": task.compared.why_not or None,
        },
        "unit": "standard deviations of the fitted distribution along its principal "
        f"axes (axes below {EIGENVALUE_FLOOR:g} of the largest variance count as that)",
        "round_trip": {
            "meaning": "how far E(D(z)) lies from z; small means that z is a vector "
            "which the model knows as an image",
            "generated": of_main["round_trip"],
            "real": real["round_trip"],
        },
        "frechet": {
            "meaning": "distance to n vectors of real images; compare it with that of "
            "n other real images, since few vectors always look far apart",
            "n": n_compared,
            "generated": of_main["frechet"],
            "real_reconstructed": real["frechet_reconstructed"],
            "real": real["frechet"],
            "why_null": _why_no(task, of_main["frechet"], real["frechet"], fewest=2),
        },
        "neighbours": {
            "meaning": f"balls that reach to the {N_NEIGHBOURS}th neighbour: share of "
            "generated vectors within those of real ones (precision), of real ones "
            "within those of generated (recall), how many such balls hold one "
            "(density), share of real balls that hold any (coverage)",
            "n": n_compared,
            "generated": of_main["neighbours"],
            "real_reconstructed": real["neighbours_reconstructed"],
            "real": real["neighbours"],
            "why_null": _why_no(
                task,
                of_main["neighbours"],
                real["neighbours"],
                fewest=N_NEIGHBOURS + 1,
            ),
        },
        "memorisation": _memorisation(ctx, task, of_main["nearest"]),
        "reconstruction": reconstruction(task),
    }
    if method == ALL:
        told["methods"] = {name: found[name] for name in found if name != REAL}
    return told


def _path(ctx: Context) -> dict[str, Any] | None:
    if method_of(ctx.options) != PATH:
        return None
    ends = {name: ctx.options[name] for name in ("from_index", "to_index")}
    return {**ends, "path_kind": path_kind_of(ctx.options)}


def _why_no(
    task: GenerationTask, generated: object, real: object, *, fewest: int
) -> str | None:
    """Return why a comparison is null, if one is."""
    if real is None:
        return (
            task.compared.why_not
            if not len(task.compared.rows)
            else f"needs {fewest} generated and {2 * fewest} real images or more"
        )
    if generated is None and not task.main.source.is_sample:
        return "a path is no sample of a distribution"
    return None


def _memorisation(
    ctx: Context, task: GenerationTask, nearest: dict[str, Any] | None
) -> dict[str, Any]:
    nothing = {"generated": None, "held_out": None, "copies": None}
    why = why_no_search(ctx, task)
    if not why and not task.compared.are_held_out:
        why = task.compared.why_not
    return {
        "meaning": "distance of z to the nearest vector of a training image; drawn "
        "vectors that are nearer than held-out images' would be copies",
        **(nearest or nothing),
        "why_null": why or None,
    }


def rows(found: Scores) -> Iterator[dict[str, Any]]:
    """Yield one row of the table for real images, real ones decoded, each method."""
    real = found[REAL]
    trip = real["round_trip"] or {}
    held_out = _first(of["nearest"] for of in found.values() if "nearest" in of)
    yield {
        "method": "real",
        "frechet": real["frechet"],
        "round_trip_median": trip.get("median"),
        "round_trip_mean": trip.get("mean"),
        "nearest_median": held_out,
        **(real["neighbours"] or {}),
    }
    yield {
        "method": "real decoded",
        "frechet": real["frechet_reconstructed"],
        **(real["neighbours_reconstructed"] or {}),
    }
    for name, of in found.items():
        if name != REAL:
            yield _row(name, of)


def _first(nearest: Iterator[dict[str, Any] | None]) -> float | None:
    for one in nearest:
        if one and one["held_out"]:
            return float(one["held_out"]["median"])
    return None


def _row(name: str, of: dict[str, Any]) -> dict[str, Any]:
    trip, nearest = of["round_trip"] or {}, of["nearest"] or {}
    return {
        "method": name,
        "violations": of["violations"],
        "frechet": of["frechet"],
        "round_trip_median": trip.get("median"),
        "round_trip_mean": trip.get("mean"),
        "nearest_median": (nearest.get("generated") or {}).get("median"),
        "share_nearer": (nearest.get("copies") or {}).get("share_nearer"),
        **(of["neighbours"] or {}),
    }


def table_csv(found: Scores) -> bytes:
    """Return the table as CSV, numbers in full precision, empty where null."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(found))
    return stream.getvalue().encode()


def table_lines(found: Scores) -> Iterator[str]:
    """Yield the table for people to read, one line a row."""
    heads = [_NAMES.get(name, name) for name in _SHOWN]
    yield f"{'method':<14}" + "".join(f"{head:>10}" for head in heads)
    for row in rows(found):
        values = (row.get(name) for name in _SHOWN)
        cells = ("-" if value is None else f"{value:.4g}" for value in values)
        yield f"{row['method']:<14}" + "".join(f"{cell:>10}" for cell in cells)


def summary(told: dict[str, Any], found: Scores) -> dict[str, Any]:
    """Return what the report shows of the result."""
    round_trip, model = told["round_trip"], told["reconstruction"]
    shown = {
        "method": told["method"],
        "vectors": told["count"],
        "images": told["images"],
        "violations": told["violations"],
        "psnr_db": model and model["psnr_db"],
        "round_trip": round_trip["generated"]["median"],
        "round_trip_of_real": round_trip["real"] and round_trip["real"]["median"],
        "frechet": told["frechet"]["generated"],
        "frechet_of_real": told["frechet"]["real"],
    }
    if told["method"] == ALL:
        shown["methods"] = {
            row["method"]: {_NAMES.get(name, name): row.get(name) for name in _SHOWN}
            for row in rows(found)
        }
    return shown
