"""Write analysis.zarr: the arrays that other jobs and people read."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base import remove
from lowmem.stores import RowWriter, write_group_attributes
from lowmem_jobs.analyze.counting import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem_jobs.analyze.study import Study
    from lowmem_jobs.model.latents_origin import LatentsOrigin

_CHUNK_BYTES = 8 * 2**20


def write_store(path: Path, study: Study, origin: LatentsOrigin | None = None) -> None:
    """Write the whole store anew; ``origin`` is that of the latents, where it is known."""
    remove(path)
    arrays, table = _arrays(study), pair_table(study)
    # Stores of equal shapes differ in nothing else that a fingerprint reads.
    content = sha256()
    for array in (*arrays.values(), *table.values()):
        content.update(np.ascontiguousarray(array).data)
    attributes = {**_provenance(study), "content_sha256": content.hexdigest()}
    if origin is not None:
        attributes |= origin.attributes
    write_group_attributes(path, attributes)
    _write_arrays(path, arrays)
    pairs = path / "pairs"
    write_group_attributes(
        pairs, {"frame": study.frame, "selection": study.selection.rule}
    )
    _write_arrays(pairs, table)


def _provenance(study: Study) -> dict[str, object]:
    return {
        "n_rows": study.n_rows,
        "n_rows_kept": study.moments.n_samples,
        "trim_fwhm": study.trimming.chosen,
        "solver": study.solved.solver,
        "standardise": study.solved.is_standardised,
        "undefined": "NaN: a constant component has no correlation, skewness or "
        "kurtosis, and a pair of constant or duplicate components no joint measure",
    }


def _arrays(study: Study) -> Mapping[str, NDArray[Any]]:
    moments, axes, solved = study.moments, study.axes, study.solved
    standardised = {
        "standardised_eigenvalues": solved.frame.eigenvalues,
        "standardised_components": solved.frame.components,
    }
    core = study.core
    inner = {"core_mean": core.mean, "core_covariance": core.covariance} if core else {}
    return {
        **(standardised if solved.is_standardised else {}),
        **inner,
        "mean": moments.mean,
        "covariance": moments.covariance,
        "correlation": moments.correlation,
        "eigenvalues": axes.eigenvalues,
        "components": axes.components,
        "explained_variance_ratio": axes.explained_variance_ratio,
        "skewness": moments.skewness,
        "kurtosis": moments.kurtosis,
        "minimum": moments.minimum,
        "maximum": moments.maximum,
    }


def pair_table(study: Study) -> Mapping[str, NDArray[Any]]:
    """Return all that was measured of each pair: columns of shape (n_pairs,)."""
    return {
        "i": study.selection.i.astype(np.int32),
        "j": study.selection.j.astype(np.int32),
        "rho": study.measures.rho,
        "mardia_skewness": study.measures.skewness,
        "mardia_kurtosis": study.measures.kurtosis,
        "coverage_2sigma": study.coverage[:, 0],
        "coverage_2_5sigma": study.coverage[:, 1],
        "coverage_3sigma": study.coverage[:, 2],
        **dict(zip(SCORES, study.scores.T, strict=True)),
    }


def _write_arrays(group: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, array in arrays.items():
        row_bytes = array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=int))
        chunk_rows = max(min(_CHUNK_BYTES // row_bytes, len(array)), 1)
        writer = RowWriter.open(
            group,
            name,
            row_shape=array.shape[1:],
            dtype=array.dtype,
            chunk_rows=chunk_rows,
        )
        for start in range(0, len(array), chunk_rows):
            writer.append(array[start : start + chunk_rows])
        writer.flush()
