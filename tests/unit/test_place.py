"""Which place this is, from what a process sees around it."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import asdict

import pytest

from lowmem.base.units import bytes_from_size, seconds_from_duration
from lowmem.cli.doctor import text_from_examination
from lowmem.places.examination import examine
from lowmem.places.place import Place, Surroundings, place_of
from lowmem.places.surroundings import look_around
from lowmem.places.time_left import TimeLeft

COLAB = {"COLAB_RELEASE_TAG": "release-colab-external-images_20260820", "COLAB_GPU": ""}
KAGGLE = {"KAGGLE_KERNEL_RUN_TYPE": "Batch", "KAGGLE_URL_BASE": "https://kaggle"}
DOCKER = {"files": frozenset({"/.dockerenv"})}


def place(environment=None, left=None, **seen) -> Place:
    around = Surroundings(environment=environment or {}, **seen)
    return place_of(around, left or TimeLeft())


PLACES = [
    (place(COLAB, **DOCKER), "colab", "Colab, CPU runtime"),
    (place(COLAB, has_gpu=True, **DOCKER), "colab", "Colab, GPU runtime"),
    (place({"COLAB_GPU": "1"}, has_gpu=True), "colab", "Colab, GPU runtime"),
    # The GPU was withdrawn: the runtime is what answers now.
    (place({"COLAB_GPU": "1"}), "colab", "Colab, CPU runtime"),
    (
        place({**COLAB, "TPU_ACCELERATOR_TYPE": "v5e-1"}),
        "colab",
        "Colab, TPU runtime",
    ),
    (
        place({**COLAB, "COLAB_TPU_ADDR": "10.0.0.2:8470"}),
        "colab",
        "Colab, TPU runtime",
    ),
    # Kaggle's images are built upon Colab's, and may keep their variables.
    (place({**COLAB, **KAGGLE}), "kaggle", "Kaggle, CPU, batch session"),
    (
        place({**KAGGLE, "TPU_NAME": "local"}),
        "kaggle",
        "Kaggle, TPU, batch session",
    ),
    (place({"KAGGLE_URL_BASE": "https://kaggle"}), "kaggle", "Kaggle, CPU"),
    (place(left=TimeLeft(job="7_1", left_s=60.0)), "slurm", "SLURM job 7_1"),
    (
        place(left=TimeLeft(job="7"), **DOCKER),
        "slurm",
        "SLURM job 7, in a Docker container",
    ),
    (
        place({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, **DOCKER),
        "container",
        "a Kubernetes pod",
    ),
    (place(cgroup="0::/kubepods/pod1/abc\n"), "container", "a Kubernetes pod"),
    (
        place(files=frozenset({"/run/.containerenv"})),
        "container",
        "a Podman container",
    ),
    (place(**DOCKER), "container", "a Docker container"),
    (place(cgroup="12:memory:/docker/0123\n"), "container", "a Docker container"),
    (
        place({"APPTAINER_CONTAINER": "/i.sif"}),
        "container",
        "an Apptainer container",
    ),
    (place({"container": "lxc"}), "container", "a container"),
    (
        place(kernel="5.15.153.1-microsoft-standard-WSL2"),
        "wsl",
        "Windows Subsystem for Linux",
    ),
    (
        place({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}),
        "plain",
        "a plain machine, over ssh",
    ),
    (
        place({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22", "TMUX": "/tmp/x"}),
        "plain",
        "a plain machine",
    ),
    (place(), "plain", "a plain machine"),
    (place({"COLAB_RELEASE_TAG": "", "COLAB_GPU": ""}), "plain", "a plain machine"),
]


@pytest.mark.parametrize(
    ("found", "kind", "name"), PLACES, ids=[str(n) for n in range(len(PLACES))]
)
def test_a_place_is_known_by_what_it_sets_the_most_particular_first(found, kind, name):
    assert (found.kind, found.name) == (kind, name)


def test_what_a_service_says_of_itself_is_marked_as_documented():
    for found in (place(COLAB), place(KAGGLE), place(**DOCKER)):
        assert found.limits
        assert {limit.source for limit in found.limits} == {"documented"}
    assert place().limits == ()


def test_a_slurm_job_shows_what_is_left_and_its_memory_as_told_by_slurm():
    found = place({"SLURM_MEM_PER_NODE": "4096"}, TimeLeft(job="7", left_s=3661.0))
    told = [limit.text for limit in found.limits if limit.source == "told"]
    assert told == [
        "the job ends in 1 h 01 min",
        "the allocation holds 4.00 GiB on this node",
    ]
    words = shlex.split(found.advice[0])
    assert words[words.index("--time-budget") + 1] == "auto"
    budget = bytes_from_size(words[words.index("--ram-budget") + 1])
    assert 0.85 * 2**32 < budget < 2**32


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"SLURM_MEM_PER_CPU": "1000", "SLURM_CPUS_ON_NODE": "4"}, "3.91 GiB"),
        ({"SLURM_MEM_PER_NODE": "0"}, None),
        ({"SLURM_MEM_PER_CPU": "1000"}, None),
        ({}, None),
    ],
)
def test_memory_of_a_slurm_job_is_told_only_where_slurm_tells_it(environment, words):
    found = place(environment, TimeLeft(job="7", left_s=math.inf))
    texts = [limit.text for limit in found.limits]
    assert "the job has no time limit" in texts
    assert any("allocation" in text for text in texts) == (words is not None)
    assert words is None or any(words in text for text in texts)
    assert ("--ram-budget" in found.advice[0]) == (words is not None)


def test_colab_is_told_to_mount_drive_only_where_it_is_not_mounted():
    assert "drive.mount" in place(COLAB).advice[0]
    mounted = place(COLAB, mounts=frozenset({"/", "/content/drive"}))
    assert not any("drive.mount" in line for line in mounted.advice)
    assert "--mirror /content/drive/MyDrive/lowmem" in mounted.advice[0]


def test_a_tpu_runtime_is_told_what_computes_there():
    told = place({**COLAB, "TPU_ACCELERATOR_TYPE": "v5e-1"})
    assert "lowmem computes on the CPU here: it does not use a TPU" in told.advice


@pytest.mark.parametrize("environment", [COLAB, KAGGLE, {**KAGGLE, "TPU_NAME": "x"}])
def test_a_suggested_time_budget_ends_before_the_place_does(environment):
    found = place(environment)
    (hours,) = [
        int(word)
        for limit in found.limits
        for word, unit in zip(
            limit.text.split(), [*limit.text.split()[1:], ""], strict=True
        )
        if unit.startswith("hours")
    ]
    line = next(a for a in found.advice if "--time-budget" in a)
    words = shlex.split(line)
    budget_s = seconds_from_duration(words[words.index("--time-budget") + 1])
    assert hours * 3600 - 3600 < budget_s < hours * 3600


def test_doctor_shows_the_place_its_limits_and_what_to_type(tmp_path, monkeypatch):
    for name, value in COLAB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    found = examine(tmp_path)
    text = text_from_examination(found)
    assert "place          Colab, CPU runtime" in text
    assert "at most 12 hours" in text
    assert "(documented, not measured)" in text
    assert "--mirror /content/drive/MyDrive/lowmem" in text
    document = json.loads(json.dumps(asdict(found)))
    assert document["place"]["kind"] == "colab"
    assert document["place"]["limits"][0]["source"] == "documented"
    assert document["problems"] == list(found.problems)


def test_this_machine_is_looked_at_without_a_look_into_mounted_folders(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    seen = look_around(has_gpu=False)
    assert seen.environment["SLURM_JOB_ID"] == "5"
    assert "/" in seen.mounts
    assert seen.kernel
