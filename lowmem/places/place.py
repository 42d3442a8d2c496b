"""Which place this is, what ends a run or its files there, and what to type: pure.

Covers places that tell what they are by their environment or files. Does not cover what
the machine has; that is measured, see `lowmem.places.examination`. What a service says of itself
cannot be measured from inside, and is marked as documented.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lowmem.base.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.places.time_left import TimeLeft

PlaceKind = Literal["colab", "kaggle", "slurm", "container", "wsl", "plain"]
# "told" by the machine or its batch system now; "documented" by whoever runs the place.
LimitSource = Literal["told", "documented"]

PAGE = "docs/places.md"
DRIVE = "/content/drive"
# Its root takes no files.
_MY_DRIVE = f"{DRIVE}/MyDrive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a process sees around it.

    Attributes
    ----------
    environment
        Its environment variables.
    files
        Those of `lowmem.places.surroundings.TELLING` that exist.
    mounts
        Folders on which something is mounted.
    cgroup
        Text of /proc/self/cgroup.
    kernel
        Release of the kernel.
    has_gpu
        Whether a driver answers.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    files: frozenset[str] = frozenset()
    mounts: frozenset[str] = frozenset()
    cgroup: str = ""
    kernel: str = ""
    has_gpu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One thing that ends a run, or takes its files, in a place."""

    text: str
    source: LimitSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where this is.

    Attributes
    ----------
    name
        As a person calls it.
    advice
        Commands to type, and what to mind; each one line.
    kept
        Folders that are here now, outlive the machine, and may be slow.
    """

    kind: PlaceKind
    name: str
    limits: tuple[Limit, ...] = ()
    advice: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def place_of(seen: Surroundings, left: TimeLeft) -> Place:
    """Return the place, the most particular one first.

    Kaggle's images are built upon Colab's, both are containers, and a batch job may run
    in one.
    """
    if _has(seen, "KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_URL_BASE"):
        return _kaggle(seen)
    if _has(seen, "COLAB_RELEASE_TAG", "COLAB_GPU", "COLAB_BACKEND_VERSION"):
        return _colab(seen)
    if left.job is not None:
        return _slurm(seen, left)
    engine = _engine(seen)
    return _machine(seen) if engine is None else _container(engine)


def _has(seen: Surroundings, *names: str) -> bool:
    return any(seen.environment.get(name) for name in names)


def _accelerator(seen: Surroundings) -> Literal["CPU", "GPU", "TPU"]:
    """Return what the runtime is for; a GPU that answers is believed before any name."""
    if seen.has_gpu:
        return "GPU"
    is_tpu = _has(seen, "COLAB_TPU_ADDR", "TPU_ACCELERATOR_TYPE", "TPU_NAME")
    return "TPU" if is_tpu else "CPU"


def _documented(*texts: str) -> tuple[Limit, ...]:
    return tuple(Limit(text=text, source="documented") for text in texts)


# The numbers of this part are of Colab's FAQ and issue tracker, 2026: free of charge.
def _colab(seen: Surroundings) -> Place:
    accelerator = _accelerator(seen)
    limits = [
        "a VM ends after at most 12 hours, and after some 90 minutes without interaction",
        "all files outside Drive end with the VM",
    ]
    if accelerator != "CPU":
        limits.append(f"a {accelerator} may be withdrawn, or not be given, at any time")
    words = "--workspace /content/lowmem-work --time-budget 11h30m"
    advice = [f"lowmem run all {words} --mirror {_MY_DRIVE}/lowmem"]
    if DRIVE not in seen.mounts:
        advice.insert(
            0,
            "mount Drive first, in a cell: from google.colab import drive; "
            f"drive.mount('{DRIVE}')",
        )
    if accelerator == "TPU":
        limits.append("the TPU runtime has no TensorFlow: Keras computes with JAX")
        advice.append("lowmem computes on the CPU here: it does not use a TPU")
    return Place(
        kind="colab",
        name=f"Colab, {accelerator} runtime",
        limits=_documented(*limits),
        advice=tuple(advice),
        kept=(_MY_DRIVE,) if DRIVE in seen.mounts else (),
    )


# The numbers are of secondary pages on Kaggle, 2024 to 2026.
def _kaggle(seen: Surroundings) -> Place:
    accelerator = _accelerator(seen)
    hours = 9 if accelerator == "TPU" else 12
    run_type = seen.environment.get("KAGGLE_KERNEL_RUN_TYPE", "").lower()
    how = f", {run_type} session" if run_type else ""
    working = "/kaggle/working/lowmem"
    return Place(
        kind="kaggle",
        name=f"Kaggle, {accelerator}{how}",
        limits=_documented(
            f"a session ends after at most {hours} hours",
            "/kaggle/working alone is kept, as the output of a saved version: 20 GB",
            "4 cores and 30 GB of RAM with a CPU or GPU",
        ),
        advice=(
            f"lowmem run all --workspace {working}-work --time-budget {hours - 1}h30m",
            f"for more than 20 GB: --workspace /kaggle/temp/work --mirror {working}",
        ),
    )


def _slurm(seen: Surroundings, left: TimeLeft) -> Place:
    limits = [_end_of(left)]
    memory = _allocated_bytes(seen.environment)
    if memory is not None:
        text = f"the allocation holds {format_bytes(memory)} on this node"
        limits.append(Limit(text=text, source="told"))
    limits += _documented(
        "at its time limit a job gets SIGTERM, and SIGKILL some 30 seconds later"
    )
    advice = ["lowmem run all --time-budget auto"]
    if memory is not None:
        advice[0] += f" --ram-budget {memory * 9 // 10 // 2**20}Mi"
    advice.append(f"a script that is queued again until it is done: {PAGE}")
    inside = _engine(seen)
    return Place(
        kind="slurm",
        name=f"SLURM job {left.job}" + (f", in {inside}" if inside else ""),
        limits=tuple(limits),
        advice=tuple(advice),
    )


def _end_of(left: TimeLeft) -> Limit:
    if left.left_s is None:
        text = "the job's time limit is not known: squeue cannot be asked here"
    elif math.isinf(left.left_s):
        text = "the job has no time limit"
    else:
        text = f"the job ends in {format_seconds(left.left_s)}"
    return Limit(text=text, source="told")


def _allocated_bytes(environment: Mapping[str, str]) -> int | None:
    """Return the memory that SLURM has set aside on this node; None where it does not say.

    Its variables count in MiB. 0 stands for all that the node has.
    """
    per_node = environment.get("SLURM_MEM_PER_NODE", "")
    per_cpu = environment.get("SLURM_MEM_PER_CPU", "")
    cpus = environment.get("SLURM_CPUS_ON_NODE", "")
    mebibytes = 0
    if per_node.isdecimal():
        mebibytes = int(per_node)
    elif per_cpu.isdecimal() and cpus.isdecimal():
        mebibytes = int(per_cpu) * int(cpus)
    return mebibytes * 2**20 or None


def _engine(seen: Surroundings) -> str | None:
    """Return what runs the container around us; None outside of one."""
    if _has(seen, "KUBERNETES_SERVICE_HOST") or "kubepods" in seen.cgroup:
        return "a Kubernetes pod"
    if "/run/.containerenv" in seen.files or "libpod" in seen.cgroup:
        return "a Podman container"
    if "/.dockerenv" in seen.files or "docker" in seen.cgroup:
        return "a Docker container"
    if _has(seen, "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        return "an Apptainer container"
    # systemd-nspawn, LXC and Podman say so to all that they start.
    return "a container" if _has(seen, "container") else None


def _container(engine: str) -> Place:
    patience = "terminationGracePeriodSeconds, 30" if "pod" in engine else "10"
    if "Apptainer" in engine:
        return Place(kind="container", name=engine)
    return Place(
        kind="container",
        name=engine,
        limits=_documented(
            f"it is stopped by SIGTERM, and {patience} seconds later by SIGKILL",
            "files outside its volumes end with it",
        ),
        advice=(
            "lowmem run all --workspace DIR, with DIR on a volume",
            "give a stop the time of a step and a commit: docker stop --time 120",
        ),
    )


def _machine(seen: Surroundings) -> Place:
    return _wsl() if "microsoft" in seen.kernel.lower() else _plain(seen)


def _wsl() -> Place:
    return Place(
        kind="wsl",
        name="Windows Subsystem for Linux",
        limits=_documented(
            "Linux gets half of the machine's RAM, unless .wslconfig says otherwise",
            "files under /mnt/c are slow: they belong to Windows",
        ),
        advice=("lowmem run all --workspace ~/lowmem-work",),
    )


def _plain(seen: Surroundings) -> Place:
    if not _has(seen, "SSH_CONNECTION") or _has(seen, "TMUX", "STY"):
        return Place(kind="plain", name="a plain machine")
    return Place(
        kind="plain",
        name="a plain machine, over ssh",
        limits=(
            Limit(
                text="a lost connection stops a run, resumable (SIGHUP)", source="told"
            ),
        ),
        advice=("nohup lowmem run all --quiet &   (or run it in tmux)",),
    )
