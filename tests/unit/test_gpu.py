"""NVML through either binding called pynvml, through none, and through a broken one."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

import lowmem
from lowmem.base.errors import MissingDeviceError
from lowmem.memory.gpu import Gpu, GpuSampler, binding_problem
from lowmem.protocol.messages import Describe
from lowmem.supervisor.order import chosen_device
from lowmem.worker.dispatch import describe


class FakeError(Exception):
    """Stands for pynvml.NVMLError, which each binding has of its own."""


def binding(*, name="Tesla T4", devices=1, fails=()):
    """Return a module with the calls that both bindings have.

    The fork of 2017 returns bytes for names; the official package returns str since
    version 12. Both raise their own NVMLError.
    """
    module = ModuleType("pynvml")
    module.NVMLError = FakeError
    module.calls = []

    def call(what, result=None):
        def called(*words: object):
            module.calls.append(what)
            if what in fails:
                raise FakeError(what)
            return result(*words) if result else None

        setattr(module, what, called)

    def handle(index):
        if index >= devices:
            raise FakeError("invalid argument")
        return f"handle {index}"

    call("nvmlInit")
    call("nvmlShutdown")
    call("nvmlDeviceGetHandleByIndex", handle)
    call(
        "nvmlDeviceGetMemoryInfo", lambda _: SimpleNamespace(total=16, free=6, used=10)
    )
    call("nvmlDeviceGetName", lambda _: name)
    return module


@pytest.fixture
def install(monkeypatch):
    return lambda module: monkeypatch.setitem(sys.modules, "pynvml", module)


@pytest.mark.parametrize("name", ["Tesla T4", b"Tesla T4"], ids=["str", "bytes"])
def test_both_bindings_give_the_same(install, name):
    module = binding(name=name)
    install(module)
    with GpuSampler() as gpu:
        assert gpu.read() == Gpu(name="Tesla T4", total_bytes=16, used_bytes=10)
    assert module.calls[-1] == "nvmlShutdown"


@pytest.mark.parametrize(
    "fails",
    [
        ("nvmlInit",),
        ("nvmlDeviceGetHandleByIndex",),
        ("nvmlDeviceGetMemoryInfo",),
        ("nvmlDeviceGetName",),
        ("nvmlDeviceGetMemoryInfo", "nvmlShutdown"),
    ],
    ids=lambda fails: fails[-1],
)
def test_a_driver_that_fails_anywhere_is_no_gpu_and_no_error(install, fails):
    install(binding(fails=fails))
    with GpuSampler() as gpu:
        assert gpu.read() is None


def test_a_machine_with_a_driver_and_no_device_has_no_gpu(install):
    install(binding(devices=0))
    with GpuSampler() as gpu:
        assert gpu.read() is None


def test_no_binding_is_no_gpu(install):
    install(None)
    with GpuSampler() as gpu:
        assert gpu.read() is None


@pytest.mark.parametrize("uses", [True, None], ids=["says so", "says nothing"])
def test_a_device_is_chosen_by_what_is_there(install, uses):
    install(binding())
    chosen = [chosen_device(d, uses_device=uses) for d in ("auto", "cpu", "gpu")]
    assert chosen == ["gpu", "cpu", "gpu"]
    install(None)
    assert [chosen_device(d, uses_device=uses) for d in ("auto", "cpu")] == ["cpu"] * 2
    with pytest.raises(MissingDeviceError, match="no NVIDIA GPU"):
        chosen_device("gpu", uses_device=uses)


def test_a_job_without_use_for_a_device_runs_on_the_cpu_where_a_demand_is_met(install):
    install(binding())
    devices = [chosen_device(d, uses_device=False) for d in ("auto", "cpu", "gpu")]
    assert devices == ["cpu"] * 3
    install(None)
    with pytest.raises(MissingDeviceError, match="no NVIDIA GPU"):
        chosen_device("gpu", uses_device=False)


def test_the_jobs_that_compute_with_keras_are_those_that_use_a_device():
    described = {one.name: one.uses_device for one in describe(Describe()).jobs}
    named = {
        uses: sorted(name for name, found in described.items() if found is uses)
        for uses in (True, False, None)
    }
    assert named == {
        True: ["encode", "generate", "train"],
        False: ["analyze", "append", "ingest", "pack"],
        None: [],
    }


def test_what_a_job_does_not_say_of_a_device_is_not_said_for_it():
    def said(**words):
        return lowmem.Job(name="own", work="own:work", **words).said_device_use

    assert said() is None
    assert said(uses_keras=True) is True
    assert said(uses_keras=True, uses_device=False) is False
    with pytest.raises(ValueError, match="True, False or None"):
        said(uses_device="gpu")


FILE, FOLDER, LAYER = "pynvml.py", "pynvml/__init__.py", "pynvml_utils/__init__.py"


def site(folder, installed):
    """Make a folder of installed packages: each with the files that it says are its own."""
    for name, file in installed.items():
        info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        if file is None:
            continue
        (info / "RECORD").write_text(f"{file},sha256=x,1\n{info.name}/RECORD,,\n")
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).touch()


@pytest.fixture
def problem_of(tmp_path, monkeypatch):
    """Return what is said where only these packages are installed."""

    def found(installed, *, gone=""):
        site(tmp_path, installed)
        if gone:
            (tmp_path / gone).unlink()
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
        monkeypatch.delitem(sys.modules, "pynvml", raising=False)
        return binding_problem()

    return found


@pytest.mark.parametrize(
    "installed",
    [{"nvidia-ml-py": FILE}, {"nvidia-ml-py": FILE, "pynvml": LAYER}, {}],
    ids=["official", "official by wrapper", "none"],
)
def test_bindings_in_order_are_not_told(problem_of, installed):
    assert problem_of(installed) is None


def test_a_binding_that_is_not_kept_up_is_named(problem_of):
    assert "unmaintained" in problem_of({"nvidia-ml-py3": FILE})


@pytest.mark.parametrize(
    "installed",
    [
        {"nvidia-ml-py": FILE, "nvidia-ml-py3": FILE},
        {"nvidia-ml-py": FILE, "pynvml": FOLDER},
        {"nvidia-ml-py": FILE, "nvidia-ml-py3": FILE, "pynvml": FOLDER},
    ],
    ids=["fork", "pynvml of before 12", "all"],
)
@pytest.mark.parametrize("gone", ["", FILE], ids=["", "one uninstalled"])
def test_a_conflict_of_bindings_is_named(problem_of, installed, gone):
    said = problem_of(installed, gone=gone)
    assert said.startswith(" and ".join(installed))
    assert f"pip uninstall {' '.join(installed)}, then pip install nvidia-ml-py" in said


def test_a_conflict_without_records_is_known_by_the_names(problem_of):
    said = problem_of({"nvidia-ml-py": None, "nvidia-ml-py3": None})
    assert "one hides the others" in said


@pytest.mark.parametrize(
    "installed",
    [
        {"nvidia-ml-py": FILE},
        {"nvidia-ml-py": FILE, "pynvml": LAYER},
        {"nvidia-ml-py3": FILE},
    ],
    ids=["official", "official by wrapper", "fork"],
)
def test_a_binding_that_is_listed_while_its_module_is_gone_is_named(
    problem_of, installed
):
    said = problem_of(installed, gone=FILE)
    assert said.startswith(" and ".join(installed))
    assert "the module pynvml is gone, so no GPU is read" in said
    assert said.endswith("pip install --force-reinstall nvidia-ml-py")


def test_a_module_that_came_by_another_way_is_there(install, tmp_path, monkeypatch):
    site(tmp_path, {"pynvml": LAYER})
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    install(binding())
    assert binding_problem() is None
