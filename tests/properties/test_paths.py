"""Paths begin and end where they are told, and keep to the radius in between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial import geometric_slerp

from lowmem_jobs.stats.frame import PrincipalFrame
from lowmem_jobs.stats.paths import constant_radius, straight

FRACTIONS = np.linspace(0.0, 1.0, 9)
D = 5


def frame_of(eigenvalues, *, turned: bool = True) -> PrincipalFrame:
    d = len(eigenvalues)
    axes = np.eye(d)
    if turned:
        axes = np.linalg.qr(np.random.default_rng(1).standard_normal((d, d)))[0]
    return PrincipalFrame(
        mean=np.arange(d, dtype=float),
        eigenvalues=np.asarray(eigenvalues, float),
        components=axes,
    )


FRAME = frame_of(np.exp(-np.arange(D) / 2.0))


def vectors():
    coordinate = st.floats(-4, 4, width=32)
    return hnp.arrays(np.float32, D, elements=coordinate)


def angles(white: np.ndarray) -> np.ndarray:
    """Return the angle between each point and the one before it."""
    unit = white / np.linalg.norm(white, axis=1, keepdims=True)
    return np.arccos(np.clip((unit[1:] * unit[:-1]).sum(axis=1), -1.0, 1.0))


@settings(deadline=None)
@given(vectors(), vectors())
def test_every_path_begins_and_ends_to_the_bit_and_is_finite(start, end):
    for path in (
        straight(start, end, FRACTIONS),
        constant_radius(start, end, FRACTIONS, frame=FRAME),
    ):
        assert path.shape == (9, D)
        assert np.isfinite(path).all()
        assert np.array_equal(path[0], start.astype(float))
        assert np.array_equal(path[-1], end.astype(float))


@settings(deadline=None)
@given(vectors(), vectors())
def test_the_radius_goes_in_proportion_and_the_direction_at_a_steady_rate(start, end):
    white = FRAME.white(constant_radius(start, end, FRACTIONS, frame=FRAME))
    radii = np.linalg.norm(white, axis=1)
    assert radii == pytest.approx(np.linspace(radii[0], radii[-1], 9), abs=1e-9)
    if min(radii[0], radii[-1]) > 1e-3:
        steps = angles(white)
        assert steps == pytest.approx(np.full(8, steps[0]), abs=1e-6)


def test_on_a_sphere_it_is_the_great_circle_that_scipy_draws():
    rng = np.random.default_rng(2)
    white = rng.standard_normal((2, D))
    white /= np.linalg.norm(white, axis=1, keepdims=True)
    start, end = FRAME.vectors(7.0 * white)
    found = FRAME.white(constant_radius(start, end, FRACTIONS, frame=FRAME))
    assert found == pytest.approx(7.0 * geometric_slerp(*white, FRACTIONS))


def test_half_way_along_a_straight_path_the_radius_is_smaller():
    start, end = FRAME.vectors(4.0 * np.eye(D)[:2])
    middle = FRAME.white(straight(start, end, np.array([0.5])))
    assert np.linalg.norm(middle) == pytest.approx(4.0 / np.sqrt(2.0))


def test_between_equal_vectors_nothing_moves():
    start = FRAME.vectors(np.ones((1, D)))[0]
    path = constant_radius(start, start, FRACTIONS, frame=FRAME)
    assert path == pytest.approx(np.tile(start, (9, 1)))


def test_along_one_direction_only_the_radius_changes():
    white = np.outer([1.0, 3.0], [0.6, 0.0, 0.8, 0.0, 0.0])
    start, end = FRAME.vectors(white)
    found = FRAME.white(constant_radius(start, end, FRACTIONS, frame=FRAME))
    assert found == pytest.approx(np.outer(np.linspace(1, 3, 9), white[0]))


@pytest.mark.parametrize("off", [0.0, 1e-15, 1e-5])
def test_opposite_vectors_are_joined_by_a_great_circle(off):
    white = np.array([[3.0, 0.0, 4.0, 0.0, 1.0], [-3.0, off, -4.0, 0.0, -1.0]])
    start, end = FRAME.vectors(white)
    found = FRAME.white(constant_radius(start, end, FRACTIONS, frame=FRAME))
    radii = np.linalg.norm(found, axis=1)
    assert radii == pytest.approx(np.full(9, np.linalg.norm(white[0])), rel=1e-6)
    assert angles(found) == pytest.approx(np.full(8, np.pi / 8), abs=1e-5)
    assert abs(found[4, 1]) == pytest.approx(np.linalg.norm(white[0]), rel=1e-6)


@pytest.mark.parametrize("noise", [(1e-16, 0.0), (0.0, 1e-16), (3e-16, -1e-16)])
def test_rounding_does_not_choose_the_axis_that_a_great_circle_passes_through(noise):
    frame = frame_of(np.ones(D), turned=False)
    white = np.array([3.0, noise[0], 4.0, noise[1], 1.0])
    start, end = frame.mean + white, frame.mean - white
    # The mean would round the noise away.
    at_zero = PrincipalFrame(
        mean=np.zeros(D), eigenvalues=frame.eigenvalues, components=frame.components
    )
    found = constant_radius(white, -white, FRACTIONS, frame=at_zero)
    assert abs(found[4, 1]) == pytest.approx(np.linalg.norm(white), rel=1e-6)
    assert found == pytest.approx(
        constant_radius(start, end, FRACTIONS, frame=frame) - frame.mean, abs=1e-12
    )


def test_a_path_from_the_mean_or_through_one_axis_is_straight():
    end = FRAME.vectors(np.ones((1, D)))[0]
    for pair in ((FRAME.mean, end), (end, FRAME.mean), (FRAME.mean, FRAME.mean)):
        path = constant_radius(*pair, FRACTIONS, frame=FRAME)
        assert path == pytest.approx(straight(*pair, FRACTIONS))
    single = frame_of([4.0])
    path = constant_radius(np.array([-2.0]), np.array([2.0]), FRACTIONS, frame=single)
    assert path[:, 0] == pytest.approx(np.linspace(-2.0, 2.0, 9))


@pytest.mark.parametrize("smallest", [0.0, -1e-17, 1e-9])
def test_along_axes_without_spread_the_path_is_straight(smallest):
    frame = frame_of([4.0, 1.0, smallest], turned=False)
    start, end = frame.mean + np.array([[2.0, 0.0, 0.5], [0.0, 1.0, -0.5]])
    path = constant_radius(start, end, FRACTIONS, frame=frame) - frame.mean
    assert path[:, 2] == pytest.approx(np.linspace(0.5, -0.5, 9))
    assert (path[:, 0] / 2.0) ** 2 + path[:, 1] ** 2 == pytest.approx(np.ones(9))
    none = frame_of([0.0, 0.0], turned=False)
    start, end = np.zeros(2), np.ones(2)
    path = constant_radius(start, end, FRACTIONS, frame=none)
    assert path == pytest.approx(straight(start, end, FRACTIONS))


def test_in_the_frame_of_leading_axes_the_rest_goes_straight():
    start, end = FRAME.vectors(np.random.default_rng(4).standard_normal((2, D)))
    path = constant_radius(start, end, FRACTIONS, frame=FRAME.leading(2))
    white = FRAME.white(path)
    ends = FRAME.white(np.stack([start, end]))
    assert white[:, 2:] == pytest.approx(straight(*ends[:, 2:], FRACTIONS))
    radii = np.linalg.norm(white[:, :2], axis=1)
    assert radii == pytest.approx(np.linspace(radii[0], radii[-1], 9))
