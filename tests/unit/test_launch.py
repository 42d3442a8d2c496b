"""The words, shares and files of a launch: what crosses to an engine, and comes back."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from lowmem.base.clock import SystemClock
from lowmem.base.errors import UsageError
from lowmem.base.errors_engines import EngineUnavailableError, MissingEngineError
from lowmem.engines import slurm as slurm_engine
from lowmem.engines.chosen import require_engine
from lowmem.engines.elsewhere import ShardTask, end_from_text, run_shard, text_of
from lowmem.engines.engine import LaunchOrder
from lowmem.engines.engine_options import (
    engine_options,
    own_bytes,
    shard_bytes,
    shard_words,
)
from lowmem.engines.launch import Launch
from lowmem.engines.launch_folder import PATIENCE_S, LaunchFolder, LaunchWatch
from lowmem.engines.slurm import SlurmEngine
from lowmem.engines.slurm_script import array_options, last_ends, script_of

MIB = 2**20


def asked(engine="local", shards=2, shard_ram=None, address=None, more=()):
    return engine_options(
        engine=engine,
        shards=shards,
        shard_ram=shard_ram,
        address=address,
        more=more,
    )


def test_shares_of_one_machine_and_what_the_launcher_takes_fill_the_budget():
    for engine in ("local", "dask", "ray"):
        for n_shards in (1, 2, 7):
            options = asked(engine, n_shards)
            share = shard_bytes(options, 4 * 10**9, is_given=False)
            whole = share * n_shards + own_bytes(options)
            assert 4 * 10**9 - n_shards < whole <= 4 * 10**9


def test_of_other_machines_a_budget_must_be_given_and_none_is_kept_back():
    there = asked("dask", 4, address="tcp://there:8786")
    assert shard_bytes(there, 8 * 10**9, is_given=True) == 2 * 10**9
    with pytest.raises(UsageError, match="--shard-ram SIZE is that of each"):
        shard_bytes(there, 8 * 10**9, is_given=False)
    each = asked("slurm", 4, shard_ram="3G")
    assert shard_bytes(each, 8 * 10**9, is_given=False) == 3 * 10**9


def test_a_budget_that_the_engine_alone_uses_up_is_refused_with_its_figures():
    with pytest.raises(
        UsageError, match=r"more than the [\d,]+ bytes that the launcher"
    ):
        shard_bytes(asked("dask", 4), 200 * MIB, is_given=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "spark"}, "expected local or dask or ray or slurm"),
        ({"shards": None}, "--shards is None, expected a whole number from 1"),
        ({"shards": 0}, "--shards is 0"),
        ({"engine": None}, "--shards is 2, expected --engine beside it"),
        ({"address": "tcp://a:1"}, "with --engine dask or ray"),
        ({"engine": "ray", "address": ""}, "expected the address"),
        ({"more": ("partition=a",)}, "with --engine slurm"),
        ({"engine": "slurm", "more": ("array=0-9",)}, "and none of array"),
        ({"engine": "slurm", "more": ("-p short",)}, "a long option of sbatch"),
        ({"shard_ram": "2"}, "2G or 2Gi was probably meant"),
    ],
    ids=str,
)
def test_what_an_engine_cannot_follow_is_refused(options, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        asked(**options)


def test_a_shards_words_are_those_that_were_typed_less_the_launchers():
    typed = "map f.py:f rows.npy out.zarr --engine=slurm --shards 3 --workspace w"
    typed += (
        " --engine-option partition=a --engine-option=x --restart --seed 4 --mirror m"
    )
    typed += " --mirror-data --ram-budget=2G --time-budget 1h --set rows=2 -- --engine"
    found = shard_words(typed.split(), ["--ram-budget", "1G"])
    assert found == shlex.split(
        "map --ram-budget 1G f.py:f rows.npy out.zarr --seed 4 --set rows=2 -- --engine"
    )


def test_a_shard_elsewhere_hears_each_signal_once_and_the_silence_of_its_launch(
    tmp_path,
):
    folder, watch = LaunchFolder(tmp_path), LaunchWatch()
    folder.beat(1)
    assert list(watch.signals(folder.names(), 0.0)) == []
    folder.stop(1, signal.SIGUSR1)
    # A listing may name one twice.
    assert list(watch.signals([*folder.names(), *folder.names()], 1.0)) == [
        signal.SIGUSR1
    ]
    folder.stop(2, signal.SIGTERM)
    assert list(watch.signals(folder.names(), 2.0)) == [signal.SIGTERM]
    assert list(watch.signals(folder.names(), 9 * PATIENCE_S)) == []


def test_a_shard_elsewhere_stops_where_its_launch_has_gone(tmp_path):
    folder, watch = LaunchFolder(tmp_path / "a"), LaunchWatch()
    (tmp_path / "a").mkdir()
    for number in range(1, 4):
        folder.beat(number)
        now = (number - 1) * (PATIENCE_S - 1)
        assert list(watch.signals(folder.names(), now)) == []
    assert list(watch.signals(folder.names(), now + PATIENCE_S)) == [signal.SIGTERM]
    folder.remove()
    assert list(LaunchWatch().signals(folder.names(), 0.0)) == [signal.SIGTERM]


def test_what_has_no_folder_of_the_launch_tells_so_and_one_that_is_over_starts_nothing(
    tmp_path,
):
    def told(launch):
        task = ShardTask(
            index=3, attempt=1, words=(), folder=str(tmp_path), launch=str(launch)
        )
        return end_from_text(run_shard(text_of(task)))

    lacking = told(tmp_path / "none")
    assert (lacking.index, lacking.status) == (3, 69)
    assert "none is not there on" in lacking.said
    # A worker that died has begun this very start: it is lost, and not begun twice.
    assert LaunchFolder(tmp_path).begin(3, 1)
    assert told(tmp_path).is_lost
    LaunchFolder(tmp_path).stop(1, signal.SIGTERM)
    assert (told(tmp_path).status, list(tmp_path.glob("*.log"))) == (75, [])


@pytest.mark.skipif(bool(find_spec("ray")), reason="ray is installed here")
def test_an_engine_that_is_not_installed_is_refused_with_the_command_that_does_it():
    with pytest.raises(
        MissingEngineError, match=r"pip install 'lowmem\[ray\]'"
    ) as told:
        require_engine("ray")
    assert told.value.exit_code == 69


def test_without_slurms_programs_it_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnavailableError, match="no sbatch and no squeue") as told:
        require_engine("slurm")
    assert told.value.exit_code == 69


# --- SLURM's programs, of which only the lines are stood in for ----------------------


def run_script(tmp_path, status: int, **environment: str) -> list[str]:
    """Run a task's script with programs that note their words; return what they noted."""
    programs, folder = tmp_path / "bin", tmp_path / "a % folder"
    programs.mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    for name, end in (("srun", status), ("scontrol", 0)):
        program = programs / name
        program.write_text(
            f'#!/bin/sh\necho "$(basename $0)|$*" >> {tmp_path}/noted\nexit {end}\n'
        )
        program.chmod(0o755)
    script = tmp_path / "task.sh"
    script.write_text(
        script_of(
            ["lowmem", "run"], ["encode", "it's"], n_shards=4, log_folder=str(folder)
        )
    )
    known = {"PATH": f"{programs}:{os.environ['PATH']}", "SLURM_ARRAY_JOB_ID": "12"}
    known |= {"SLURM_ARRAY_TASK_ID": "3", **environment}
    done = subprocess.run(["/bin/bash", script], env=known, check=False, timeout=60)
    assert done.returncode == status
    noted = tmp_path / "noted"
    lines = noted.read_text().splitlines()
    noted.unlink()
    return [*lines, *sorted(p.name for p in folder.glob("ended.*"))]


def test_a_task_that_stops_queues_itself_again_unless_its_launch_is_to_end(tmp_path):
    line = "srun|lowmem run --shard 3/4 encode it's"
    assert run_script(tmp_path, 65) == [line, "ended.12.3.0.65"]
    again = run_script(tmp_path, 75, SLURM_RESTART_COUNT="1")
    assert again == [
        line,
        "scontrol|requeue 12_3",
        "ended.12.3.0.65",
        "ended.12.3.1.75",
    ]
    assert last_ends(again, "12") == {3: 75}
    (tmp_path / "a % folder" / "no-requeue").touch()
    assert run_script(tmp_path, 75, SLURM_RESTART_COUNT="2")[:2] == [line, again[2]]


def test_an_allocation_is_a_tenth_larger_than_the_budget():
    (found,) = (o for o in array_options([0], 3600 * MIB, job="x") if "--mem" in o)
    assert found == "--mem=4000M"


@pytest.fixture
def noted(monkeypatch, tmp_path):
    """Put programs on PATH that note their words; `squeue` prints the file ``queue``."""
    programs = tmp_path / "programs"
    programs.mkdir()
    note = f'#!/bin/sh\necho "$(basename $0) $*" >> {tmp_path}/noted\n'
    for name, does in (
        ("sbatch", "echo '12;cluster'"),
        ("squeue", f"cat {tmp_path}/queue"),
        ("scancel", "true"),
    ):
        (programs / name).write_text(f"{note}{does}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def lines() -> list[str]:
        found = (tmp_path / "noted").read_text().splitlines()
        (tmp_path / "noted").write_text("")
        return found

    return lines


def of_slurm(tmp_path):
    return LaunchOrder(
        engine="slurm",
        job="encode",
        workspace=str(tmp_path),
        n_shards=3,
        shard_words=("run", "encode"),
        merge_words=(),
        folder=str(tmp_path),
        shard_ram_bytes=900 * MIB,
        deadline=None,
        is_quiet=True,
        engine_options=("partition=short",),
    )


def test_an_array_is_submitted_watched_and_told_to_stop_by_slurms_own_programs(
    noted, tmp_path
):
    order = of_slurm(tmp_path)
    folder = LaunchFolder(tmp_path / "launches" / "a")
    folder.beat(1)
    former = LaunchFolder(tmp_path / "launches" / "b")
    former.tell("array.7")
    with SlurmEngine(order, folder) as slurm:
        assert noted() == ["scancel 7"]
        slurm.start([0, 1, 2], None)
        (line,) = noted()
        words = line.split()
        assert {"--array=0-2", "--mem=1000M", "--requeue", "--parsable"} < set(words)
        assert words[-2:] == ["--partition=short", str(folder.path / "script.1.sh")]
        # One is at work, one is done, and one has left without a word.
        (tmp_path / "queue").write_text("12_1\n")
        folder.tell("ended.12.0.0.75")
        folder.tell("ended.12.0.1.0")
        (done,) = slurm.ended(0.0)
        assert (done.index, done.status) == (0, 0)
        assert noted() == ["squeue --array --noheader --jobs=12 --format=%F_%K"]
        slurm.signal(signal.SIGUSR1)
        asked_to = ["scancel --state=PENDING 12", "scancel --signal=USR1 12"]
        assert noted() == asked_to
        (tmp_path / "queue").write_text("")
        folder.tell("ended.12.1.0.75")
        ends = {end.index: end.status for end in slurm.ended(0.0)}
        assert ends == {1: 75, 2: -9}
    assert "no-requeue" in folder.names()
    assert "no-requeue" in former.names()


def test_a_controller_that_answers_late_ends_nothing(noted, tmp_path, monkeypatch):
    folder = LaunchFolder(tmp_path / "launches" / "a")
    folder.beat(1)
    with SlurmEngine(of_slurm(tmp_path), folder) as slurm:
        slurm.start([0, 1, 2], None)
        monkeypatch.setattr(slurm_engine, "_PROGRAM_S", 0.2)
        # In the place of the shell, so that it ends with it.
        program = tmp_path / "programs" / "squeue"
        program.write_text(program.read_text().replace("cat ", "exec sleep 60 #"))
        assert list(slurm.ended(0.0)) == []
        assert [line.split()[0] for line in noted()] == ["sbatch", "squeue"]


def test_shards_that_never_answer_are_waited_for_a_while_after_the_second_demand(
    tmp_path, monkeypatch
):
    """As where all workers have gone: nobody is left to say that it has stopped."""

    class Silent(SystemClock):
        now = 0.0

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds

    clock, heard, signals = Silent(), [], []
    engine = SimpleNamespace(
        start=lambda indices, _: heard.append(indices),
        ended=lambda seconds: clock.sleep(seconds) or (),
        signal=signals.append,
    )
    order = LaunchOrder(
        engine="dask",
        job="encode",
        workspace=str(tmp_path),
        n_shards=2,
        shard_words=(),
        merge_words=(),
        folder=str(tmp_path),
        shard_ram_bytes=MIB,
        deadline=None,
        is_quiet=True,
    )
    launch = Launch(order, lambda *_: engine, clock)
    demands = iter([0, 0, 1, 1, *[3] * 10**4])
    stops = SimpleNamespace(count=0, by="SIGINT")

    def state():
        stops.count = next(demands)
        return stops

    monkeypatch.setattr(type(launch._stops), "heard", property(lambda _: stops))
    monkeypatch.setattr(type(launch._stops), "count", property(lambda _: state().count))
    end = launch._until_the_end(engine)
    assert (end.status, end.index) == (75, None)
    assert heard == [(0, 1)]
    assert signals == [signal.SIGINT] * 3
    assert 30 < clock.now < 60
