"""What people see of lowmem is what was read and kept: texts/, at each width and place."""

from __future__ import annotations

import shutil

import pytest

from tests.golden.kept import SITTINGS, TEXTS, check, play

pytestmark = [pytest.mark.process, pytest.mark.slow]

_KEYBOARD = ("jupyter", "ipython")
_MARKS = {
    "training": [pytest.mark.keras],
    **{n: [pytest.mark.alone] for n in _KEYBOARD},
}
_EVERY = [
    pytest.param(where, one.__name__, marks=_MARKS.get(one.__name__, []))
    for where, sittings in SITTINGS.items()
    for one in sittings
]


@pytest.mark.parametrize(("where", "sitting"), _EVERY)
def test_what_is_seen_is_what_is_kept(where, sitting):
    if sitting in _KEYBOARD:
        pytest.importorskip("ipykernel", reason="no Jupyter kernel is installed")
        pytest.importorskip("nbclient", reason="no Jupyter client is installed")
    if where == "script" and shutil.which("script") is None:
        pytest.skip("script is not installed")
    check(where, sitting, play(where, sitting))


def test_every_folder_of_texts_is_of_a_sitting():
    known = {(where, one.__name__) for where, all_ in SITTINGS.items() for one in all_}
    assert known == {(f.parent.name, f.name) for f in TEXTS.glob("*/*") if f.is_dir()}
