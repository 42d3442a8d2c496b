"""Device memory by both bindings of NVML, and jobs that are watched through them."""

from __future__ import annotations

import ctypes
import json
from datetime import datetime

import pytest

from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from tests.processes.lowmem_runs import (
    attempts,
    committed_cycles,
    incidents,
    job_file,
    records,
    run,
)
from tests.processes.nvml_driver import (
    BINDINGS,
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    NAME,
    TOTAL_BYTES,
    UNKNOWN,
    Driver,
    compiled_library,
    installed_binding,
    printed_by,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

GB = 10**9

# One sampler through all that may happen; each step is a line for the driver's file.
READINGS = """
import dataclasses, json, os, sys
from pathlib import Path
from lowmem.memory.gpu import GpuSampler

state, seen = Path(os.environ["STAND_IN_DRIVER"]), []
with GpuSampler() as gpu:
    for line in {lines!r}:
        state.write_text(line)
        one = gpu.read()
        seen.append([one and dataclasses.asdict(one), gpu.is_lost])
print(json.dumps([sys.modules["pynvml"].__file__, seen]))
"""
ONE_READING = """
import sys
from lowmem.memory.gpu import GpuSampler
with GpuSampler() as gpu:
    print(gpu.read(), gpu.is_lost, "pynvml" in sys.modules)
"""
PROBLEM = "from lowmem.memory.gpu import binding_problem; print(binding_problem())"

# Holds memory of the device by its setting; {then} is done once two steps are committed.
HOLDS = """
import os, time, lowmem
from pathlib import Path

STATE = Path(os.environ["STAND_IN_DRIVER"])
LOOKS = Path(str(STATE) + ".looks")

def be_seen():
    "Wait until the supervisor has looked, from the beginning to the end of a look."
    before = LOOKS.stat().st_size
    while LOOKS.stat().st_size < before + 2:
        time.sleep(0.01)

def lose_device():
    fresh = STATE.with_suffix(".lost")
    fresh.write_text("15 0")
    fresh.replace(STATE)
    time.sleep(60)  # hangs in its driver

@lowmem.job(
    unit="rows", settings=({{"gigabytes": 3}}, {{"gigabytes": 1}}), uses_device=True
)
def holds(ctx):
    "Hold memory of the device."
    if ctx.device == "gpu":
        with STATE.open("a") as stream:
            stream.write(f"{{os.getpid()}} {{ctx.settings['gigabytes'] * 10**9}}\\n")
    first = done = ctx.state.get("done", 0)
    while done < 4:
        if ctx.device == "gpu" and done in (0, 2):
            be_seen()
            if done == 2:
                {then}
        done += 1
        yield lowmem.CommitPoint(items=1, state={{"done": done}})
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return lowmem.Result(summary={{"first": first, "visible": seen}})
"""
RAISES = 'raise RuntimeError("CUDA error: GPU is lost")'


def sitting_of(space):
    (found,) = read_report(Workspace.at(space), is_live=False).usage.sittings
    return found


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The folder of the library, compiled once."""
    return compiled_library(tmp_path_factory.mktemp("driver"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Give the folder of a binding, each installed once."""
    folder, found = tmp_path_factory.mktemp("bindings"), {}

    def of(package):
        if package not in found:
            found[package] = installed_binding(package, folder)
        return found[package]

    return of


@pytest.fixture
def driver(library, tmp_path, monkeypatch):
    """A device of which others use 1 GB, for every process started from here."""
    driver = Driver(library, tmp_path / "device")
    driver.answer(used_bytes=GB)
    for name, value in driver.environment.items():
        monkeypatch.setenv(name, value)
    return driver


def report_of(space):
    return read_report(Workspace.at(space), is_live=False).jobs["holds"]


@pytest.mark.parametrize("binding", BINDINGS)
def test_either_binding_reads_the_device_and_survives_its_loss(
    driver, installed, binding
):
    lines = ["0 1000", "0 2000", f"{UNKNOWN} 0", f"{GPU_IS_LOST} 0", "0 3000"]
    folder = installed(binding)
    script = READINGS.format(lines=lines)
    module, seen = json.loads(
        printed_by(script, folder, environment=driver.environment)
    )
    assert module == str(folder / "pynvml.py")

    def used(n_bytes):
        return {"name": NAME, "total_bytes": TOTAL_BYTES, "used_bytes": n_bytes}

    assert seen == [
        [used(1000), False],
        [used(2000), False],
        [None, False],
        [None, True],
        [used(3000), False],
    ]


@pytest.mark.parametrize("binding", BINDINGS)
def test_either_binding_says_no_gpu_where_the_driver_is_not_loaded(
    driver, installed, binding
):
    driver.answer(code=DRIVER_NOT_LOADED)
    found = printed_by(ONE_READING, installed(binding), environment=driver.environment)
    assert found == "None False True\n"


@pytest.mark.parametrize("binding", BINDINGS)
def test_without_a_driver_there_is_no_gpu_and_no_binding_is_loaded(installed, binding):
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        assert printed_by(ONE_READING, installed(binding)) == "None False False\n"
    else:
        pytest.skip("this machine has a driver")


def test_bindings_that_overwrite_each_other_are_named(installed):
    current, old = map(installed, BINDINGS)
    assert printed_by(PROBLEM, current) == "None\n"
    assert "replace it by nvidia-ml-py" in printed_by(PROBLEM, old)
    both = printed_by(PROBLEM, old, current)
    assert both.startswith("nvidia-ml-py and nvidia-ml-py3 each install the module")


@pytest.mark.usefixtures("driver")
def test_a_job_that_passes_its_vram_budget_goes_on_with_its_next_settings(
    installed, tmp_path, monkeypatch
):
    # The tests below are by the binding that was installed along with lowmem.
    monkeypatch.setenv("PYTHONPATH", str(installed("nvidia-ml-py3")))
    job = job_file(tmp_path, HOLDS.format(then="pass"))
    words = ("--device", "gpu", "--vram-budget", "2GB")
    ended = run(job, tmp_path / "w", *words, cycle_steps=2)
    assert ended.status == 0, ended
    (incident,) = incidents(tmp_path / "w")
    assert (incident.verdict, incident.vram_bytes) == ("vram_limit", 3 * GB)
    assert incident.action == "restarted with gigabytes 1"
    begun = attempts(tmp_path / "w")
    assert [one.settings for one in begun] == [{"gigabytes": 3}, {"gigabytes": 1}]
    report = report_of(tmp_path / "w")
    workers = [(worker.device, worker.device_name) for worker in report.workers]
    assert workers == [("gpu", NAME), ("gpu", NAME)]
    # Without the 1 GB that others use.
    peaks = [cycle.vram_peak_bytes for cycle in report.cycles]
    assert peaks[:3] == [3 * GB, GB, GB]
    assert report.vram_peak_bytes == 3 * GB
    assert report.summary == {"first": 0, "visible": None}
    sitting = sitting_of(tmp_path / "w")
    assert (sitting.gpu, sitting.gpus) == ("given", (NAME,))


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("then", [RAISES, "lose_device()"], ids=["error", "nvml"])
def test_a_job_whose_device_is_lost_goes_on_on_the_cpu_from_its_last_commit(
    tmp_path, then
):
    job = job_file(tmp_path, HOLDS.format(then=then))
    ended = run(job, tmp_path / "w", cycle_steps=1)
    assert ended.status == 0, ended
    begun = attempts(tmp_path / "w")
    assert [(one.device, one.next_cycle) for one in begun] == [("gpu", 0), ("cpu", 2)]
    (incident,) = incidents(tmp_path / "w")
    assert incident.action == "the GPU was lost: went on on the CPU"
    report = report_of(tmp_path / "w")
    assert report.summary == {"first": 2, "visible": "-1"}
    assert report.vram_peak_bytes == 3 * GB
    sitting = sitting_of(tmp_path / "w")
    assert (sitting.gpu, sitting.gpus, sitting.ended) == ("lost", (NAME,), "done")
    # From the moment its worker was ready to that of its end.
    began, ended = (datetime.fromisoformat(r.at) for r in (begun[0], incident))
    assert sitting.used.gpu_seconds == (ended - began).total_seconds()
    assert 0 < sitting.used.gpu_seconds < sitting.used.seconds


@pytest.mark.usefixtures("driver")
def test_a_device_that_was_demanded_and_is_lost_ends_the_run(tmp_path):
    job = job_file(tmp_path, HOLDS.format(then="lose_device()"))
    ended = run(job, tmp_path / "w", "--device", "gpu", cycle_steps=1)
    assert ended.status == 69, ended
    assert "the GPU can no longer be used" in ended.paragraph
    assert "--device auto" in ended.paragraph
    assert len(committed_cycles(records(tmp_path / "w"))) == 2
    (incident,) = incidents(tmp_path / "w")
    assert incident.action == "ended"
    sitting = sitting_of(tmp_path / "w")
    assert (sitting.gpu, sitting.ended, sitting.exit_code) == ("lost", "failed", 69)


@pytest.mark.usefixtures("driver")
def test_a_job_without_use_for_a_device_is_reported_on_the_cpu_and_sees_none(tmp_path):
    source = HOLDS.format(then="pass").replace("uses_device=True", "uses_device=False")
    job = job_file(tmp_path, source)
    ended = run(job, tmp_path / "w", "--device", "gpu", cycle_steps=2)
    assert ended.status == 0, ended
    report = report_of(tmp_path / "w")
    assert (report.device, report.vram_peak_bytes) == ("cpu", None)
    assert report.workers[0].device_name is None
    assert report.summary == {"first": 0, "visible": "-1"}
    sitting = sitting_of(tmp_path / "w")
    assert (sitting.gpu, sitting.gpus, sitting.used.gpu_seconds) == ("unasked", (), 0)
