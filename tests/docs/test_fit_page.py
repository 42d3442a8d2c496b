"""docs/fit.md says what the code does, and its blocks run."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs/fit.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.keras
@pytest.mark.slow
def test_every_parameter_of_the_callback_is_told_and_fit_takes_it_too():
    from lowmem import ExactResume, fit

    table = TEXT.partition("| parameter | is |")[2].partition("\n\n")[0]
    told = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert told | {"folder"} == set(inspect.signature(ExactResume).parameters)
    assert told <= set(inspect.signature(fit).parameters)


@pytest.mark.keras
@pytest.mark.slow
def test_every_callback_of_keras_is_kept_or_refused_by_the_page():
    import keras

    shown_alone = {"Callback", "CallbackList", "History", "ProgbarLogger"}
    without_state = {"LambdaCallback", "RemoteMonitor", "TerminateOnNaN"}
    known = {name for name in vars(keras.callbacks) if name[0].isupper()}
    told = {name for name in known if f"`{name}`" in TEXT}
    assert known - told <= shown_alone | without_state


@pytest.mark.process
@pytest.mark.keras
@pytest.mark.slow
def test_the_trainings_shown_run_and_are_not_trained_again(tmp_path):
    ends = "\nprint(history.epoch, sum(map(abs, model.get_weights()[0].ravel())))\n"
    text = f"{BLOCKS[0]}{ends}{BLOCKS[1]}{ends}"
    words = [sys.executable, "-c", text]
    told = [
        subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert told[0] == told[1]
    first, second = told[0].splitlines()
    assert first.startswith("[0, 1, 2]")
    assert second.startswith("[0, 1, 2, 3, 4]")
