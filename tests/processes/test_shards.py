"""Shards as a person starts them: at once, killed, stopped past their lease, merged."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest
import zarr

from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from lowmem.stores.row_writer import RowWriter
from tests.processes.lowmem_runs import Ended, until

pytestmark = [pytest.mark.process, pytest.mark.slow]

# seconds; five processes of lowmem may share one busy core.
PATIENCE_S = 600.0

# Of each row two megabytes, so that eight of them are a block. Whoever first comes to the
# row that a file `halt` names waits there, until a file `go` is there.
FUNCTION = """
import os, time
from pathlib import Path
import numpy as np

def spread(rows):
    if Path("halt").exists() and 2 * rows[0, 0] == int(Path("halt").read_text()):
        try:
            os.close(os.open("halted", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            while not Path("go").exists():
                time.sleep(0.02)
    return np.repeat(rows[:, :1], 2**18, axis=1)
"""
N_ROWS, N_BLOCKS = 32, 4
WORDS = ("map", "own.py:spread", "rows.npy", "wide.zarr", "--set", "rows=2", "--quiet")


@pytest.fixture
def here(tmp_path):
    """Return a folder with a function and its rows."""
    (tmp_path / "own.py").write_text(FUNCTION)
    np.save(tmp_path / "rows.npy", np.arange(N_ROWS)[:, None] / 2)
    return tmp_path


def sums(store: Path) -> dict[str, str]:
    return {
        str(file.relative_to(store)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(store.rglob("*"))
        if file.is_file()
    }


def begun(here: Path, shard: str, *words: object) -> subprocess.Popen[str]:
    line = [*WORDS, "--workspace", "w", "--shard", shard, "--cycle-steps", 1, *words]
    return started(here, *line)


def started(here: Path, *line: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lowmem", *map(str, line)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=here,
    )


def ended(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=PATIENCE_S)
    return Ended(process.returncode, out, err)


def lowmem(*words: object, cwd: Path) -> Ended:
    return ended(started(cwd, *words))


def tree(process: subprocess.Popen[str]) -> list[psutil.Process]:
    root = psutil.Process(process.pid)
    return [root, *root.children(recursive=True)]


def end_all(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        for one in tree(process):
            one.kill()
    process.communicate()


def merge(here: Path) -> Ended:
    return lowmem("merge", "map-wide", "--workspace", "w", "--quiet", cwd=here)


def told(here: Path) -> dict:
    status = lowmem("status", "w", "--json", cwd=here)
    assert status.status == 0, status
    return json.loads(status.out)


def run_four(here: Path) -> None:
    """Run four shards at once, of which the third is killed within its block."""
    (here / "halt").write_text("16")
    with ExitStack() as stack:
        shards = [begun(here, f"{index}/4") for index in range(4)]
        for shard in shards:
            stack.callback(end_all, shard)
        until((here / "halted").exists, patience_s=PATIENCE_S)
        for one in tree(shards[2]):
            one.kill()
        ends = [ended(shards[index]) for index in (0, 1, 3)]
        assert [end.status for end in ends] == [0, 0, 0], ends


def assert_told_as_in_the_making(here: Path) -> None:
    refused = merge(here)
    assert refused.status == 65
    assert "block 2 of map-wide is not done, expected all 4 blocks" in refused.paragraph
    assert not (here / "w" / "wide.zarr").exists()
    # What cannot be verified yet is refused in words.
    unverified = lowmem("verify", "w", cwd=here)
    assert unverified.status == 2
    assert "the shards of map-wide" in unverified.paragraph
    state = told(here)
    assert state["jobs"] == {}
    job = state["shards"]["map-wide"]
    assert (job["blocks"], job["done"], job["claimed"]) == (4, 3, 1)
    states = {shard["shard"]: shard["state"] for shard in job["shards"]}
    assert states == {"0/4": "done", "1/4": "done", "2/4": "stopped", "3/4": "done"}
    assert "--shard 0/1" in job["next_command"]


def assert_told_as_one_job(here: Path) -> None:
    assert told(here)["shards"] == {}
    report, one = (
        read_report(Workspace(here / name), is_live=False).jobs["map-wide"]
        for name in ("w", "whole")
    )
    assert (report.state, report.summary, report.items) == ("done", one.summary, N_ROWS)
    assert lowmem("verify", "w", cwd=here).status == 0
    for line in (["--shard", "1/4"], []):
        done = lowmem(*WORDS[:-1], "--workspace", "w", *line, cwd=here)
        assert (done.status, "is done already" in done.err) == (0, True), done


def test_four_at_once_one_of_them_killed_make_what_one_process_makes(here):
    whole = lowmem(*WORDS, "--workspace", "whole", cwd=here)
    assert whole.status == 0, whole
    run_four(here)
    assert_told_as_in_the_making(here)
    # The same command at once, whatever the lease: its former process has ended.
    again = ended(begun(here, "2/4"))
    assert again.status == 0, again
    assert told(here)["shards"]["map-wide"]["next_command"].startswith("lowmem merge")
    merged = merge(here)
    assert merged.status == 0, merged
    assert sums(here / "w" / "wide.zarr") == sums(here / "whole" / "wide.zarr")
    assert_told_as_one_job(here)


def test_beside_another_result_shards_say_first_that_the_merge_will_replace_it(here):
    packed = (*WORDS[:-1], "--codec", "zstd")
    for line in ((*WORDS, "--workspace", "w"), (*packed, "--workspace", "whole")):
        done = lowmem(*line, cwd=here)
        assert done.status == 0, done
    shard = lowmem(*packed, "--workspace", "w", "--shard", "0/1", cwd=here)
    assert shard.status == 0, shard
    said = " ".join(shard.err.split())
    assert 0 < said.find("the merge will need --restart") < said.find("is done")
    following = told(here)["shards"]["map-wide"]["next_command"]
    assert following.endswith(" --restart")
    merged = lowmem(*shlex.split(following)[1:], cwd=here)
    assert merged.status == 0, merged
    # Of many blocks of Blosc a chunk, too: their order follows from the rows.
    assert sums(here / "w" / "wide.zarr") == sums(here / "whole" / "wide.zarr")


def test_one_stopped_past_its_lease_and_woken_changes_nothing(here):
    (here / "halt").write_text("8")
    stale = begun(here, "0/1", "--lease", "1s")
    try:
        until((here / "halted").exists, patience_s=PATIENCE_S)
        for one in tree(stale):
            one.suspend()
        # It finds the block claimed, and takes it over once the lease has passed.
        other = ended(begun(here, "0/2", "--lease", "1s"))
        assert other.status == 0, other
        rest = ended(begun(here, "1/2"))
        assert rest.status == 0, rest
        merged = merge(here)
        assert merged.status == 0, merged
        before = sums(here / "w")
        (here / "go").touch()
        for one in reversed(tree(stale)):
            one.resume()
        late = ended(stale)
        assert late.status == 0, late
    finally:
        end_all(stale)
    result = np.repeat(np.arange(N_ROWS)[:, None] / 2, 2**18, axis=1)
    np.testing.assert_array_equal(
        zarr.open_array(here / "w" / "wide.zarr" / "wide", mode="r")[:], result
    )
    after = sums(here / "w")
    changed = {name for name in before if before[name] != after.get(name)}
    new = set(after) - set(before)
    # Its own part alone: its journal, its checkpoints, its readings.
    assert all("/parts/0000of0001-" in name for name in changed | new), changed | new
    assert not [name for name in after if name.endswith(".block")]
    attempts = [name for name in after if ".002." in name and name.endswith(".done")]
    assert len(attempts) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["run", "train", "--shard", "0/2"],
            "job train has no shards, since each step begins with the weights",
        ),
        (["run", "all", "--shard", "0/2"], "expected one job"),
        (["run", "encode", "--shard", "0/2", "--restart"], "expected one of them"),
        (["run", "encode", "--shard", "0/2", "--mirror", "m"], "a shard publishes"),
        (["run", "encode", "--shard", "2/2"], "expected I/N with I from 0 to N - 1"),
        (["run", "encode", "--lease", "1m"], "expected --shard I/N beside it"),
        (["merge", "analyze"], "job analyze has no shards"),
    ],
    ids=lambda value: "-".join(value[1:]) if isinstance(value, list) else "",
)
def test_what_cannot_be_divided_is_refused_with_its_reason(tmp_path, words, said):
    refused = lowmem(*words, "--workspace", "w", cwd=tmp_path)
    assert refused.status == 2, refused
    assert said in refused.paragraph
    assert not (tmp_path / "w").exists()


def test_what_a_shard_needs_is_not_made_by_each_of_them(tmp_path):
    refused = lowmem(
        "run", "encode", "--shard", "0/2", "--workspace", "w", cwd=tmp_path
    )
    assert refused.status == 65, refused
    assert "Run `lowmem run ingest` in this workspace first" in refused.paragraph


def test_shards_of_other_options_are_refused_before_any_work(here):
    first = ended(begun(here, "0/2"))
    assert first.status == 0, first
    words = ["--workspace", "w", "--shard", "1/2", "--codec", "zstd"]
    refused = lowmem(*WORDS, *words, cwd=here)
    assert refused.status == 2, refused
    assert "codec was 'none', now 'zstd'" in refused.paragraph
    assert "Give all shards the same options" in refused.paragraph


def test_what_shards_used_is_counted_and_so_is_the_merge(here):
    def sittings():
        usage = lowmem("usage", "w", "--json", cwd=here)
        assert usage.status == 0, usage
        return [one["job"] for one in json.loads(usage.out)["sittings"]]

    first = ended(begun(here, "0/1"))
    assert first.status == 0, first
    assert sittings() == ["map-wide"]
    merged = merge(here)
    assert merged.status == 0, merged
    assert sittings() == ["map-wide"] * 2


@pytest.mark.keras
def test_two_shards_of_encode_make_the_latents_of_one_process(tmp_path):
    import keras

    rows = np.random.default_rng(1).integers(0, 256, (2100, 4, 4, 3), np.uint8)
    writer = RowWriter.open(
        tmp_path / "images.zarr",
        "images",
        row_shape=(4, 4, 3),
        dtype="uint8",
        chunk_rows=700,
    )
    for start in range(0, 2100, 700):
        writer.append(rows[start : start + 700])
    writer.flush()
    inputs = keras.Input((4, 4, 3), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, name="z")(flat))
    model.save(tmp_path / "encoder.keras")
    words = ["run", "encode", "--data", "images.zarr", "--model", "encoder.keras"]
    words += ["--device", "cpu", "--quiet", "--workspace"]
    whole = lowmem(*words, "whole", cwd=tmp_path)
    assert whole.status == 0, whole
    for shard in ("1/2", "0/2"):
        made = lowmem(*words, "w", "--shard", shard, cwd=tmp_path)
        assert made.status == 0, made
    merged = lowmem("merge", "encode", "--workspace", "w", "--quiet", cwd=tmp_path)
    assert merged.status == 0, merged
    one, other = (sums(tmp_path / name / "latents.zarr") for name in ("whole", "w"))
    assert one == other
    assert len([name for name in one if "/c." in f"/{name}"]) == 3
