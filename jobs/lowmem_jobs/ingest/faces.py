"""Procedural faces whose features follow a known Gaussian: data with ground truth.

Face ``i`` of a seed depends on nothing but ``(seed, i)``. Its features are drawn from a
small factor model, so that their mean and covariance are known in closed form; they are
stored as they were drawn, never clamped. The picture (see `drawing`) is a smooth
function of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem_jobs.ingest.drawing import Painter
from lowmem_jobs.ingest.entries import Entry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem_jobs.ingest.framing import Pixels

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]

# Keeps these random numbers apart from any others keyed by (seed, index).
_STREAM = 0xFACE


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: lengths are fractions of the image, angles radians, tones 0 to 1.

    Attributes
    ----------
    name
        What it is.
    mean, deviation
        Of its normal distribution. Drawing is sound to four deviations and beyond.
    loadings
        On the factors build, youth, mood, complexion and scene.
    """

    name: str
    mean: float
    deviation: float
    loadings: tuple[float, float, float, float, float]


#        name               mean   deviation       build youth  mood compl. scene
FEATURES = (
    Feature("head_x", 0.500, 0.016, (0.0, 0.0, 0.0, 0.0, 0.5)),
    Feature("head_width", 0.236, 0.013, (0.7, 0.4, 0.0, 0.0, 0.0)),
    Feature("head_height", 0.300, 0.015, (0.7, -0.4, 0.0, 0.0, 0.0)),
    Feature("head_tilt", 0.000, 0.065, (0.0, 0.0, 0.3, 0.0, 0.6)),
    Feature("eye_height", -0.020, 0.010, (0.0, -0.6, 0.0, 0.0, 0.0)),
    Feature("eye_distance", 0.098, 0.008, (0.7, 0.2, 0.0, 0.0, 0.0)),
    Feature("eye_size", 0.046, 0.005, (0.1, 0.7, 0.0, 0.0, 0.0)),
    Feature("eye_opening", 0.680, 0.075, (0.0, 0.4, -0.5, 0.0, 0.0)),
    Feature("gaze", 0.000, 0.130, (0.0, 0.0, 0.0, 0.0, -0.6)),
    Feature("brow_height", 0.078, 0.008, (0.3, 0.3, 0.5, 0.0, 0.0)),
    Feature("brow_angle", 0.050, 0.110, (0.0, 0.0, 0.7, 0.0, 0.0)),
    Feature("nose_length", 0.092, 0.011, (0.4, -0.6, 0.0, 0.0, 0.0)),
    Feature("nose_width", 0.036, 0.005, (0.5, -0.3, 0.0, 0.3, 0.0)),
    Feature("mouth_height", 0.158, 0.009, (0.5, -0.4, 0.0, 0.0, 0.0)),
    Feature("mouth_width", 0.085, 0.010, (0.4, 0.0, 0.6, 0.0, 0.0)),
    Feature("mouth_curve", 0.022, 0.012, (0.0, 0.2, 0.8, 0.0, 0.0)),
    Feature("mouth_opening", 0.016, 0.004, (0.0, 0.0, 0.6, 0.2, 0.0)),
    Feature("hair_length", 0.170, 0.080, (-0.3, 0.4, 0.0, 0.0, 0.3)),
    Feature("hair_line", -0.160, 0.016, (0.0, 0.5, 0.0, 0.0, 0.0)),
    Feature("skin_tone", 0.450, 0.210, (0.0, 0.0, 0.0, 0.8, 0.0)),
    Feature("hair_tone", 0.500, 0.230, (0.0, 0.3, 0.0, -0.7, 0.0)),
    Feature("eye_tone", 0.500, 0.220, (0.0, 0.0, 0.0, -0.7, 0.0)),
    Feature("background_tone", 0.500, 0.240, (0.0, 0.0, 0.3, 0.0, 0.5)),
    Feature("light", 0.000, 0.160, (0.0, 0.0, 0.0, 0.0, 0.7)),
)
N_FEATURES = len(FEATURES)

_MEAN: Vector = np.array([feature.mean for feature in FEATURES])
_DEVIATION: Vector = np.array([feature.deviation for feature in FEATURES])
_LOADINGS: Matrix = np.array([feature.loadings for feature in FEATURES])
# What the factors leave of each unit variance is the feature's own.
_OWN: Vector = np.sqrt(1 - np.square(_LOADINGS).sum(axis=1))


def true_mean() -> Vector:
    """Return the mean of the features, shape (k,)."""
    return _MEAN.copy()


def true_covariance() -> Matrix:
    """Return the covariance of the features, shape (k, k)."""
    correlation = _LOADINGS @ _LOADINGS.T + np.diag(np.square(_OWN))
    covariance: Matrix = correlation * np.outer(_DEVIATION, _DEVIATION)
    return covariance


def face_features(seed: int, index: int) -> Vector:
    """Return the features of one face, shape (k,), in the order of `FEATURES`.

    Notes
    -----
    Philox is keyed by seed and index: a stream of its own for each face, with no state
    to carry from one to the next. The sums are of a fixed shape, so a face is the same
    to the bit whatever is drawn beside it.
    """
    key = np.array([seed % 2**64, index], dtype=np.uint64)
    counter = np.array([0, 0, 0, _STREAM], dtype=np.uint64)
    random = np.random.Generator(np.random.Philox(counter=counter, key=key))
    own = random.standard_normal(N_FEATURES)
    factors = random.standard_normal(_LOADINGS.shape[1])
    unit = _OWN * own + (_LOADINGS * factors).sum(axis=1)
    features: Vector = _MEAN + _DEVIATION * unit
    return features


class FaceSource:
    """So many faces of a seed, drawn when they are asked for."""

    # Hundreds of small array operations hold the interpreter: two threads of them run
    # at two thirds of the speed of one.
    decoder = None

    def __init__(self, n_faces: int, *, seed: int, size: int) -> None:
        self._n_faces = n_faces
        self._seed = seed
        self._painter = Painter(size)

    def __len__(self) -> int:
        return self._n_faces

    def entry(self, index: int) -> Entry:
        """Return the name of a face: its number, as text."""
        return Entry(f"face {index}", place=index)

    def fetch(self, entry: Entry) -> int:
        """Return the number of a face: all that drawing needs."""
        return entry.place

    def load(self, stored: int) -> Pixels:
        """Return a face, shape (size, size, 3)."""
        named = zip(FEATURES, self.features(stored), strict=True)
        return self._painter.paint({f.name: float(value) for f, value in named})

    def features(self, index: int) -> Vector:
        """Return the features of a face, shape (k,)."""
        return face_features(self._seed, index)
