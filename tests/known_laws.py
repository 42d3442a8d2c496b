"""Pairs of known laws: how to draw them, and what is true of them in closed form.

Mardia's measures and the mass within k sigma do not change with an affine map of the
pair, so each law is given where its covariance is the unit matrix, and drawn elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import integrate, stats

Draw = Callable[[np.random.Generator, int], np.ndarray]
Within = Callable[[float], float]

_TURN = np.array([[3.0, 0.0], [0.7, 2.0]])
_PLACE = np.array([5.0, -1.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """A law of two numbers, of mean 0 and unit covariance.

    Attributes
    ----------
    draw
        Returns n pairs, shape (n, 2).
    within
        Returns the mass within k sigma.
    b1, b2
        Mardia's skewness and kurtosis.
    """

    draw: Draw
    within: Within
    b1: float
    b2: float


def placed(law: Law, rng: np.random.Generator, n: int) -> np.ndarray:
    """Return n pairs of a law, correlated, of other scales and away from 0."""
    return law.draw(rng, n) @ _TURN.T + _PLACE


def _normal(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, 2))


_DEGREES = 12


def _student(rng: np.random.Generator, n: int) -> np.ndarray:
    chi2 = rng.chisquare(_DEGREES, size=(n, 1))
    return rng.normal(size=(n, 2)) * np.sqrt((_DEGREES - 2) / chi2)


def _student_within(k: float) -> float:
    # The squared radius over 2 (nu - 2) / nu follows F with 2 and nu degrees.
    return float(stats.f.cdf(k**2 * _DEGREES / (2 * (_DEGREES - 2)), 2, _DEGREES))


# Variances of two normals with one centre, and the share of the first.
_SHARE, _NARROW = 0.8, 0.6
_WIDE = (1 - _SHARE * _NARROW) / (1 - _SHARE)


def _scales(rng: np.random.Generator, n: int) -> np.ndarray:
    variance = np.where(rng.random((n, 1)) < _SHARE, _NARROW, _WIDE)
    return rng.normal(size=(n, 2)) * np.sqrt(variance)


def _scales_within(k: float) -> float:
    inside = [1 - np.exp(-(k**2) / (2 * v)) for v in (_NARROW, _WIDE)]
    return float(_SHARE * inside[0] + (1 - _SHARE) * inside[1])


_LUMP = 0.8  # distance of each of two lumps from the middle


def _lumps(rng: np.random.Generator, n: int) -> np.ndarray:
    pairs = rng.normal(size=(n, 2))
    pairs[:, 0] *= np.sqrt(1 - _LUMP**2)
    pairs[:, 0] += _LUMP * rng.choice([-1, 1], size=n)
    return pairs


def _lumps_density(x: float) -> float:
    width = np.sqrt(1 - _LUMP**2)
    return float(np.mean(stats.norm.pdf(x, loc=[-_LUMP, _LUMP], scale=width)))


_SHAPE = 4.0


def _skewed(rng: np.random.Generator, n: int) -> np.ndarray:
    return (rng.gamma(_SHAPE, size=(n, 2)) - _SHAPE) / np.sqrt(_SHAPE)


_GAMMA = stats.gamma(_SHAPE, loc=-np.sqrt(_SHAPE), scale=1 / np.sqrt(_SHAPE))

_BEND = 0.8


def _curved(rng: np.random.Generator, n: int) -> np.ndarray:
    x, noise = rng.normal(size=(2, n))
    bent = _BEND * (x**2 - 1) / np.sqrt(2)
    return np.stack([x, bent + np.sqrt(1 - _BEND**2) * noise], axis=1)


def _curved_below(x: float, y: float) -> float:
    bent = _BEND * (x**2 - 1) / np.sqrt(2)
    return float(stats.norm.cdf((y - bent) / np.sqrt(1 - _BEND**2)))


def _integrated(
    density: Callable[[float], float], below: Callable[[float, float], float]
) -> Within:
    """Return the mass within k sigma from the law of x and that of y given x."""

    def within(k: float) -> float:
        def column(x: float) -> float:
            reach = np.sqrt(k**2 - x**2)
            return density(x) * (below(x, reach) - below(x, -reach))

        return float(integrate.quad(column, -k, k, limit=200)[0])

    return within


_OWN = 1 - _LUMP**2
_M04 = 15 * _BEND**4 + 6 * _BEND**2 * (1 - _BEND**2) + 3 * (1 - _BEND**2) ** 2

LAWS = {
    "normal": Law(
        draw=_normal, within=lambda k: float(1 - np.exp(-(k**2) / 2)), b1=0, b2=8
    ),
    "student": Law(
        draw=_student,
        within=_student_within,
        b1=0,
        b2=8 * (_DEGREES - 2) / (_DEGREES - 4),
    ),
    "two scales": Law(
        draw=_scales,
        within=_scales_within,
        b1=0,
        b2=8 * (_SHARE * _NARROW**2 + (1 - _SHARE) * _WIDE**2),
    ),
    "two lumps": Law(
        draw=_lumps,
        within=_integrated(_lumps_density, lambda _, y: float(stats.norm.cdf(y))),
        b1=0,
        b2=_LUMP**4 + 6 * _LUMP**2 * _OWN + 3 * _OWN**2 + 5,
    ),
    "skewed": Law(
        draw=_skewed,
        within=_integrated(_GAMMA.pdf, lambda _, y: float(_GAMMA.cdf(y))),
        b1=8 / _SHAPE,
        b2=8 + 12 / _SHAPE,
    ),
    "curved": Law(
        draw=_curved,
        within=_integrated(stats.norm.pdf, _curved_below),
        b1=8 * _BEND**6 + 6 * _BEND**2,
        b2=3 + _M04 + 2 * (5 * _BEND**2 + 1 - _BEND**2),
    ),
}


def errors_of(law: Law, n: int) -> tuple[float, float]:
    """Return standard errors of b1 and b2 of n pairs, from 50 samples of the law."""
    rng = np.random.default_rng(99)
    found = np.array([mardia(law.draw(rng, n)) for _ in range(50)])
    return float(found[:, 0].std()), float(found[:, 1].std())


def mardia(pairs: np.ndarray) -> tuple[float, float]:
    """Return b1 and b2 by the tensor of third moments of whitened pairs."""
    away = pairs - pairs.mean(axis=0)
    root = np.linalg.cholesky(np.linalg.inv(np.cov(away.T, bias=True)))
    white = away @ root
    third = np.einsum("ki,kj,kl->ijl", white, white, white) / len(white)
    return float((third**2).sum()), float((np.square(white).sum(axis=1) ** 2).mean())
