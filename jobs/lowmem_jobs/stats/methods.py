"""The ways of drawing vectors: one table, of which options, table and figures follow.

Light, since the planner reads the names: a method's own code is loaded when it draws. To
add one, add its entry here; its sampler may stand in this file or in any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowmem_jobs.stats.frame import PrincipalFrame
    from lowmem_jobs.stats.sampler import Sampler


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way of drawing at random.

    Attributes
    ----------
    key
        Keys its random numbers, so it is part of every recipe: never changed, and never
        that of another. The next free one is 8.
    make
        Returns its sampler from the fitted distribution, the reach in standard
        deviations, and the share of the fitted normal that is kept.
    is_along_axes
        Whether it draws along principal axes, and so can draw along the first few alone.
    """

    key: int
    make: Callable[[PrincipalFrame, float, float], Sampler]
    is_along_axes: bool = False


# Drawn around one image, by a sampler that needs the image: `samplers_free.Near`.
NEAR, NEAR_KEY = "near", 6


def _mvn(frame: PrincipalFrame, _sigma: float, _quantile: float) -> Sampler:
    from lowmem_jobs.stats.samplers_free import Correlated

    return Correlated(frame)


def _ball(frame: PrincipalFrame, _sigma: float, quantile: float) -> Sampler:
    from lowmem_jobs.stats.samplers_inside import Ball

    return Ball(frame, quantile)


def _box(frame: PrincipalFrame, sigma: float, _quantile: float) -> Sampler:
    from lowmem_jobs.stats.samplers_inside import Box

    return Box(frame, sigma)


def _ellipses(frame: PrincipalFrame, sigma: float, _quantile: float) -> Sampler:
    from lowmem_jobs.stats.samplers_inside import Ellipses
    from lowmem_jobs.stats.truncated import InsideAllEllipses

    region = InsideAllEllipses(dimension=frame.n_axes, sigma=sigma)
    return Ellipses(frame, sigma, region)


def _ellipses_raw(frame: PrincipalFrame, sigma: float, _quantile: float) -> Sampler:
    from lowmem_jobs.stats.samplers_raw import RawEllipses

    return RawEllipses(frame, sigma)


def _independent(frame: PrincipalFrame, _sigma: float, _quantile: float) -> Sampler:
    from lowmem_jobs.stats.samplers_free import Independent

    return Independent(frame)


def _uniform(frame: PrincipalFrame, sigma: float, _quantile: float) -> Sampler:
    from lowmem_jobs.stats.samplers_free import Uniform

    return Uniform(frame, sigma)


# By name, in the order of the table that compares them.
METHODS = {
    "mvn": Method(key=0, make=_mvn, is_along_axes=True),
    "ball": Method(key=1, make=_ball, is_along_axes=True),
    "box": Method(key=2, make=_box, is_along_axes=True),
    "ellipses": Method(key=3, make=_ellipses, is_along_axes=True),
    "ellipses-raw": Method(key=7, make=_ellipses_raw),
    "independent": Method(key=4, make=_independent),
    "uniform": Method(key=5, make=_uniform),
}


def along_axes() -> tuple[str, ...]:
    """Return the methods that draw along principal axes."""
    return tuple(name for name, method in METHODS.items() if method.is_along_axes)


def key_of(name: str) -> int:
    """Return what keys the random numbers of a method, or of `NEAR`."""
    return NEAR_KEY if name == NEAR else METHODS[name].key
