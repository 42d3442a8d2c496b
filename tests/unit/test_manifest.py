"""The state of a checkpoint comes back as it was, or is refused by name."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from lowmem.base.errors import StateError, StorageError
from lowmem.checkpoints import writing as module
from lowmem.checkpoints.commit import commit
from lowmem.checkpoints.generations import generations
from lowmem.checkpoints.manifest import MANIFEST, Manifest
from lowmem.checkpoints.restore import restore
from lowmem.protocol.messages import Cycle


def manifest(**values):
    return Manifest(
        generation=0,
        recipe={},
        cycle=Cycle(
            index=0,
            items=1,
            started_at="2026-11-22T10:00:00.000Z",
            seconds=1.0,
            commit_seconds=0.0,
            settings={},
        ),
        **values,
    )


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        [1.0, -math.inf],
        {1: 2},
        {"a": {"b": math.nan}},
        np.int64(1),
        np.float64(1.5),
        np.zeros(2),
        {1, 2},
        b"bytes",
        Path("p"),
        # Its repr holds an address; processes must collect the same names.
        pytest.param(object(), id="object"),
    ],
    ids=repr,
)
def test_a_state_that_would_come_back_otherwise_is_refused_by_its_key(tmp_path, value):
    with pytest.raises(StateError, match=r"state\['odd'\] is ") as caught:
        commit(tmp_path, manifest(state={"fine": 1, "odd": value}))
    assert caught.value.exit_code == 70
    assert generations(tmp_path) == []


def test_a_key_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(StateError, match=r"state\[3\] is 4"):
        commit(tmp_path, manifest(state={3: 4}))


def test_all_that_json_has_comes_back_equal_and_a_tuple_as_a_list(tmp_path):
    state = {"a": [1, 0.1, None, True, "\u00e9"], "b": {"c": {}}, "big": 2**127}
    commit(tmp_path, manifest(state={**state, "t": (1, (2.0,))}))
    assert restore(tmp_path).manifest.state == {**state, "t": [1, [2.0]]}


def test_a_summary_may_hold_what_is_not_finite_but_not_what_json_lacks(tmp_path):
    commit(tmp_path, manifest(summary={"loss": math.nan}))
    assert restore(tmp_path).manifest.summary == {"loss": None}
    with pytest.raises(StateError, match=r"summary\['n'\]"):
        commit(tmp_path, manifest(summary={"n": np.int64(1)}))


def test_a_manifest_that_reads_back_otherwise_is_never_committed(tmp_path, monkeypatch):
    real = module.write_file

    def write_damaged(path, data):
        real(path, data)
        if path.name == MANIFEST:
            path.write_bytes(data[:-3])

    monkeypatch.setattr(module, "write_file", write_damaged)
    with pytest.raises(StorageError, match="reads back damaged"):
        commit(tmp_path, manifest())
    assert generations(tmp_path) == []
