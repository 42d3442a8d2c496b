"""Engines as a person starts them: shards launched, killed, stopped, and merged."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec

import numpy as np
import psutil
import pytest

from tests.processes.lowmem_runs import until
from tests.processes.test_shards import (
    FUNCTION,
    N_ROWS,
    PATIENCE_S,
    WORDS,
    end_all,
    ended,
    lowmem,
    started,
    sums,
    tree,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Without `--quiet`: what a launch tells is looked at.
TOLD = (*WORDS[:-1], "--cycle-steps", 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the files that a run by one process makes, by their SHA-256."""
    folder = tmp_path_factory.mktemp("whole")
    fill(folder)
    done = lowmem(*WORDS, "--workspace", "w", cwd=folder)
    assert done.status == 0, done
    return sums(folder / "w" / "wide.zarr")


@pytest.fixture
def here(tmp_path):
    """Return a folder with a function and its rows; the first at block 2 waits."""
    fill(tmp_path)
    (tmp_path / "halt").write_text("16")
    return tmp_path


def fill(folder) -> None:
    (folder / "own.py").write_text(FUNCTION)
    np.save(folder / "rows.npy", np.arange(N_ROWS)[:, None] / 2)


def shard_of(process, shard: str) -> psutil.Process:
    """Return the supervisor of a shard, somewhere below a process."""
    for one in tree(process):
        line = one.cmdline()
        if line[1:3] == ["-m", "lowmem.cli.supervise"] and shard in shard_words(one):
            return one
    raise AssertionError(f"no shard {shard} below {process.pid}")


def shard_words(process: psutil.Process) -> str:
    """Return what a supervisor's part of the workspace is called: 1/2 is 0001of0002."""
    return " ".join(file.path for file in process.open_files())


def test_of_two_here_one_that_is_killed_comes_again_and_the_result_is_that_of_one(
    here, whole
):
    line = [*TOLD, "--workspace", "w", "--engine", "local", "--shards", 2]
    launch = started(here, *line, "--ram-budget", "1500M")
    try:
        until((here / "halted").exists, patience_s=PATIENCE_S)
        shard_of(launch, "0001of0002").kill()
        done = ended(launch)
    finally:
        end_all(launch)
    assert done.status == 0, done
    assert "shard 1/2 again, 1 of 3 times: it was killed" in done.err
    assert sums(here / "w" / "wide.zarr") == whole
    # Nothing of the launch is left, and a launch of what is done starts no work.
    launches = here / "w" / ".lowmem" / "shards" / "map-wide" / "launches"
    assert [path.name for path in launches.iterdir() if path.is_dir()] == []


def test_a_share_that_is_too_small_is_refused_before_anything_starts(here):
    line = [*TOLD, "--workspace", "w", "--engine", "local", "--shards", 2]
    refused = lowmem(*line, "--ram-budget", "150M", cwd=here)
    assert refused.status == 73, refused
    said = " ".join(refused.paragraph.split())
    # 150 MB, less 32 MiB for the launcher.
    assert "each of 2 shards has 55.5 MiB of RAM" in said
    ((each, whole_of_it),) = re.findall(
        r"Raise --ram-budget to (\d+)M or more.* which is (\d+)M for all of them", said
    )
    assert 0 <= int(whole_of_it) - 2 * int(each) <= 40
    assert not (here / "w" / ".lowmem" / "shards").exists()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def dask(folder, *, n_workers: int, memory: str):
    """Run a scheduler and its workers, by Dask's own commands; give their address."""
    address = f"tcp://127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        for words in (
            ["dask_scheduler", "--host", address, "--no-dashboard"],
            ["dask_worker", address, "--nworkers", n_workers, "--nthreads", 1,
             "--memory-limit", memory, "--no-dashboard"],
        ):  # fmt: skip
            line = [sys.executable, "-m", f"distributed.cli.{words[0]}", *words[1:]]
            process = subprocess.Popen(
                [str(word) for word in line],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(end_all, process)
        yield address


@pytest.mark.skipif(not find_spec("distributed"), reason="distributed is not installed")
def test_dasks_workers_refused_stopped_and_gone_on_with_make_the_result_of_one(
    here, whole
):
    with dask(here, n_workers=2, memory="1GB") as address:
        line = [
            *TOLD,
            "--workspace",
            "w",
            "--engine",
            "dask",
            "--engine-address",
            address,
        ]
        line += ["--shards", 2, "--shard-ram"]
        refused = lowmem(*line, "1200M", cwd=here)
        assert refused.status == 73, refused
        said = " ".join(refused.paragraph.split())
        assert "a memory limit of 953.7 MiB (1 GB) and 1 at once" in said
        assert "(1.2 GB), the budget of a shard" in said
        launch = started(here, *line, "600M")
        try:
            until((here / "halted").exists, patience_s=PATIENCE_S)
            launch.send_signal(signal.SIGTERM)
            stops = here / "w" / ".lowmem" / "shards" / "map-wide" / "launches"
            until(lambda: list(stops.glob("*/stop.*")), patience_s=PATIENCE_S)
            (here / "go").touch()
            stopped = ended(launch)
        finally:
            end_all(launch)
        assert stopped.status == 75, stopped
        assert "asked to, by SIGTERM" in " ".join(stopped.paragraph.split())
        done = lowmem(*line, "600M", cwd=here)
        assert done.status == 0, done
    assert sums(here / "w" / "wide.zarr") == whole
