"""The planes of the cuts beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from lowmem_jobs.analyze.axis_rotation import planes_of
from lowmem_jobs.stats.moments import Moments


def rows_turned_by(angle):
    """Return rows whose axes 2 and 3 are turned by so many degrees."""
    rows = np.random.default_rng(1).normal(size=(4000, 6)) * [6, 5, 4, 3, 2, 1]
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    rows[:, 2:4] = rows[:, 2:4] @ [[cosine, sine], [-sine, cosine]]
    return rows


@pytest.mark.parametrize("angle", range(-170, 181, 35))
def test_axes_of_every_cut_point_where_those_of_all_rows_do(angle):
    cut, everything = Moments.of(rows_turned_by(angle)), Moments.of(rows_turned_by(0))
    planes = planes_of([(1.5, cut)], everything)
    cosines = np.einsum("ij,ij->i", planes[0].axes, planes[1].axes)
    assert (cosines >= 0).all()
    wanted = abs(np.cos(np.radians(angle)))
    np.testing.assert_allclose(cosines, wanted, atol=0.05)
