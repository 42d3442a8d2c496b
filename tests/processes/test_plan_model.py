"""The plan of a user's own model, against trainings of it that know nothing of lowmem."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import textwrap
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.processes.lowmem_runs import PATIENCE_S, lowmem

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.memory,
    pytest.mark.alone,
    pytest.mark.keras,
]

BUDGET = "700M"
BUDGET_BYTES = 700 * 10**6
# The line of a plan that others have disturbed; the machine of a test may have others.
DISTURBED = "memory that others took"
MODELS = """
    import sys
    import keras

    def dense():
        model = keras.Sequential(
            [keras.Input((20_000,)), keras.layers.Dense(64), keras.layers.Dense(10)]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    if __name__ == "__main__" and sys.argv[1] == "plan":
        import msgspec
        names = {"model": dense()}
        exec(sys.argv[2], names)
        plan = names["plan"]
        assert plan.device == "cpu" and plan.vram_peak_bytes is None
        assert "sequential: training at batch" in repr(plan)
        print(msgspec.json.encode(plan).decode())
    elif __name__ == "__main__":
        import numpy as np
        batch = int(sys.argv[1])
        model = dense()

        class Rows(keras.utils.PyDataset):
            def __len__(self):
                return 5
            def __getitem__(self, index):
                draw = np.random.default_rng(index)
                shape = (batch, *model.inputs[0].shape[1:])
                return draw.random(shape, "float32"), draw.integers(0, 10, batch)

        model.fit(Rows(), epochs=2, verbose=0)
        print("trained")
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "nets.py"
    path.write_text(textwrap.dedent(MODELS))
    return path


@pytest.fixture(scope="module")
def plan(file) -> dict:
    """Plan a model as docs/plan.md shows it, but for the sizes."""
    page = (Path(__file__).parents[2] / "docs" / "plan.md").read_text()
    (shown,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shown = shown.replace('batch_size=64, ram="2G"', f'batch_size=256, ram="{BUDGET}"')
    script = subprocess.run(
        [sys.executable, str(file), "plan", shown],
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * PATIENCE_S,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert script.returncode == 0, script.stderr
    found: dict = json.loads(script.stdout.splitlines()[-1])
    return found


def test_the_largest_batch_of_a_plan_was_tried_and_held(plan):
    assert plan["fits"]
    trials = {one["batch_size"]: one for one in plan["trials"]}
    largest, missed = plan["largest_batch_size"], plan["smallest_missed_batch_size"]
    assert trials[largest]["outcome"] == "held"
    assert plan["largest_ram_peak_bytes"] <= 0.88 * BUDGET_BYTES
    # It fills the budget, or the next one is next to it.
    is_next = missed is not None and missed <= 1.03 * largest + 1
    assert trials[largest]["ram_peak_bytes"] > 0.75 * BUDGET_BYTES or is_next
    asked = trials[plan["batch_size"]]
    assert plan["ram_peak_bytes"] == asked["ram_peak_bytes"]
    assert plan["predicted_ram_bytes"] == asked["predicted_ram_bytes"]
    assert 0.8 < plan["predicted_ram_bytes"] / plan["ram_peak_bytes"] < 1.25
    assert plan["vram_budget_bytes"] is None


def test_the_largest_batch_really_trains_and_one_well_beyond_is_stopped(
    plan, file, tmp_path
):
    def trained(batch):
        line = ("exec", "--ram", BUDGET, "--workspace", tmp_path / f"{batch}")
        words = (*line, "--quiet", "--", sys.executable, file, batch)
        return lowmem(*words, patience_s=3 * PATIENCE_S)

    largest = plan["largest_batch_size"]
    with ThreadPoolExecutor(2) as pool:
        held, beyond = pool.map(trained, (largest, 2 * largest))
    assert (held.status, held.out.strip()) == (0, "trained"), held
    assert beyond.status == 73, beyond


def test_a_plan_tells_others_memory_apart_and_ends_with_its_reader(file):
    line = [sys.executable, "-m", "lowmem", "plan", "--model", f"{file}:dense"]
    process = subprocess.Popen(
        [*line, "--ram-budget", "300M"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    said = b""
    give_up_at = time.monotonic() + PATIENCE_S
    while DISTURBED.encode() not in said and time.monotonic() < give_up_at:
        # As a program beside it does: memory that the trial does not map.
        with others_memory(250 * 2**20 if b"measuring" in said else 0):
            if select.select([process.stderr], [], [], 1.0)[0]:
                said += os.read(process.stderr.fileno(), 2**16)
        time.sleep(0.05)
    assert DISTURBED.encode() in said, said
    assert b"needs more" not in said
    process.stdout.close()
    assert process.wait(timeout=PATIENCE_S) == 75
    process.stderr.close()


class others_memory:  # noqa: N801 - read as a statement
    def __init__(self, n_bytes):
        self.n_bytes = n_bytes

    def __enter__(self):
        self.descriptor = os.memfd_create("others")
        os.posix_fallocate(self.descriptor, 0, max(1, self.n_bytes))

    def __exit__(self, *_):
        os.close(self.descriptor)


def test_what_cannot_be_planned_is_refused_before_a_framework_is_loaded(tmp_path):
    own = {"module": "nets", "class_name": "Doubled", "config": {}}
    model = tmp_path / "own.keras"
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": [own]}}))
    for words, status, told in (
        (("--model", model), 65, "names nets.Doubled, code that is none of Keras' own"),
        (("--model", tmp_path / "none.keras"), 2, "there is no file"),
        (("--batch-size", "4"), 2, "option --model is missing"),
        (("--model", model, "--epochs", "3"), 2, "option --epochs is unknown"),
    ):
        ended = lowmem("plan", *words)
        assert (ended.status, ended.out) == (status, ""), ended
        assert told in ended.paragraph
