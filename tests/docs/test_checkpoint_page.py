"""docs/checkpoint.md says what the code does, and its blocks run."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lowmem
from lowmem.base import errors_loop
from lowmem.loops.stopping import HEARD

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/checkpoint.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_every_public_method_is_in_the_table_with_its_arguments():
    calls = re.findall(r"^\| `(\w+)(\([^`]*\))?` \|", TEXT, re.MULTILINE)
    told = dict(calls)
    cls = lowmem.Checkpoint
    public = {name for name in vars(cls) if not name.startswith("_")} - {"folder"}
    assert public | {"Checkpoint"} <= set(told)
    given = inspect.signature(cls).parameters
    assert set(re.findall(r"(\w+)(?=[=,)])", told["Checkpoint"])) - {"None"} - {
        "2"
    } == set(given)


def test_every_signal_that_is_heard_is_told():
    names = set(re.findall(r"SIG[A-Z]+\d?", TEXT)) - {"SIGINT"}
    assert names == {number.name for number in HEARD}


def test_every_error_in_the_table_is_one():
    named = set(re.findall(r"`(\w+Error)`", TEXT)) - {"StorageError"}
    assert named
    assert all(hasattr(errors_loop, name) for name in named)


def test_the_message_shown_is_the_one_that_comes(tmp_path):
    shown = re.search(r"```\n(state\['model'\].*?) \.\.\.\n", TEXT, re.DOTALL)[1]
    with (
        lowmem.Checkpoint(tmp_path) as checkpoint,
        pytest.raises(errors_loop.UnkeptValueError) as caught,
    ):
        checkpoint.commit({"model": {"activation": shown_function}})
    assert str(caught.value).startswith(shown)


def shown_function():
    """Return nothing; it is what a state cannot hold."""


def run(text, folder):
    words = [sys.executable, "-c", text]
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.process
@pytest.mark.slow
def test_the_first_loop_shown_goes_on_with_the_same_bits(tmp_path):
    text = BLOCKS[0] + "\nprint(weights.tobytes().hex())"
    run(text.replace("1000", "350", 1), tmp_path)
    rng, weights = np.random.default_rng(1), np.zeros(10)
    for _ in range(1000):
        weights = weights + rng.normal(size=10)
    assert run(text, tmp_path).strip() == weights.tobytes().hex()


@pytest.mark.process
@pytest.mark.slow
def test_the_second_loop_shown_commits_and_ends_when_it_is_asked(tmp_path):
    asked = "import os, signal\n" + BLOCKS[1].replace(
        "        is_last =",
        "        if step == 250: os.kill(os.getpid(), signal.SIGTERM)\n        is_last =",
    )
    words = [sys.executable, "-c", asked]
    assert subprocess.run(words, cwd=tmp_path, check=False).returncode == 75
    # The signal is heard at once or at the next step: Python delivers it between two.
    with lowmem.Checkpoint(tmp_path / "ckpt") as checkpoint:
        assert checkpoint.restore()["step"] in {251, 252}
