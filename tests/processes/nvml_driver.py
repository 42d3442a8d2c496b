"""A small library in the place of NVIDIA's driver, and both bindings that can load it.

What it answers stands in a file of text: on the first line the code that every call
returns and the bytes that others use, on each further one the id of a process and the
bytes it holds on the device, which are given back when it ends. Each look at the memory
adds a byte to a second file, so that a job can wait until it was seen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lowmem

if TYPE_CHECKING:
    from collections.abc import Mapping

BINDINGS = ("nvidia-ml-py", "nvidia-ml-py3")
NAME = "Stand-in H100"
TOTAL_BYTES = 16 * 2**30
# Of nvml.h: the driver is not loaded, a call failed for no known reason, the device
# fell off the bus.
DRIVER_NOT_LOADED, UNKNOWN, GPU_IS_LOST = 9, 999, 15
# The variable that names the file.
STATE = "STAND_IN_DRIVER"
# seconds; a registry that does not answer by then is not there.
_INSTALL_S = 60

_SOURCE = r"""
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned long long total, free, used; } memory_t;

static int read_state(unsigned long long *used) {
    FILE *file = fopen(getenv("STAND_IN_DRIVER"), "r");
    int code, pid;
    unsigned long long bytes;
    if (!file) return 999;
    if (fscanf(file, "%d %llu", &code, used) != 2) code = 999;
    while (fscanf(file, "%d %llu", &pid, &bytes) == 2)
        if (kill(pid, 0) == 0 || errno != ESRCH) *used += bytes;
    fclose(file);
    return code;
}
static int state(void) { unsigned long long used; return read_state(&used); }

int nvmlInit_v2(void) { return state(); }
int nvmlInitWithFlags(unsigned flags) { (void)flags; return state(); }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    static int device;
    if (index != 0) return 2;
    *handle = &device;
    return state();
}
int nvmlDeviceGetName(void *handle, char *name, unsigned length) {
    (void)handle;
    strncpy(name, "@NAME@", length);
    return state();
}
int nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory) {
    char path[4096];
    FILE *looks;
    int code;
    (void)handle;
    memory->total = @TOTAL@ULL;
    code = read_state(&memory->used);
    memory->free = memory->total - memory->used;
    snprintf(path, sizeof path, "%s.looks", getenv("STAND_IN_DRIVER"));
    if ((looks = fopen(path, "a"))) { fputc('.', looks); fclose(looks); }
    return code;
}
const char *nvmlErrorString(int code) {
    return code == 15 ? "GPU is lost" : code ? "Unknown Error" : "Success";
}
"""


@dataclass(frozen=True, slots=True)
class Driver:
    """The library, and what it answers.

    Attributes
    ----------
    library
        The folder it lies in.
    state
        The file it reads its answers from.
    """

    library: Path
    state: Path

    def answer(self, *, code: int = 0, used_bytes: int = 0) -> None:
        """Let every call answer so from now on; processes hold nothing."""
        fresh = self.state.with_suffix(".fresh")
        fresh.write_text(f"{code} {used_bytes}\n")
        fresh.replace(self.state)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in order to find the driver."""
        return {"LD_LIBRARY_PATH": str(self.library), STATE: str(self.state)}


def compiled_library(folder: Path) -> Path:
    """Compile the library and return the folder that holds it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to build the stand-in driver with")
    source = folder / "nvml.c"
    text = _SOURCE.replace("@NAME@", NAME).replace("@TOTAL@", str(TOTAL_BYTES))
    source.write_text(text)
    library = folder / "libnvidia-ml.so.1"
    words = ["-shared", "-fPIC", "-Wall", "-o", library, source]
    subprocess.run([compiler, *map(str, words)], check=True, timeout=_INSTALL_S)
    return folder


def installed_binding(package: str, folder: Path) -> Path:
    """Install one binding from the registry and return the folder of its module."""
    target = folder / package
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    try:
        done = subprocess.run(
            [*pip, "--retries", "0", "--target", str(target), package],
            capture_output=True,
            text=True,
            check=False,
            timeout=_INSTALL_S,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"the registry of packages did not give {package} in time")
    if done.returncode:
        pytest.skip(f"{package} cannot be installed: {done.stderr[-300:]}")
    return target


def printed_by(
    script: str, *bindings: Path, environment: Mapping[str, str] | None = None
) -> str:
    """Run a script with lowmem, these bindings and no other package; return its words."""
    root = Path(lowmem.__file__).parents[1]
    inherited = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    paths = os.pathsep.join(map(str, (root, *bindings)))
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=_INSTALL_S,
        env={**inherited, "PYTHONPATH": paths, **(environment or {})},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
