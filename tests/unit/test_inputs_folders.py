"""Folders as people have them: shared, open in an editor, mounted, and around a workspace."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import pytest

from lowmem.base.errors import StorageError
from lowmem.base.errors_recipe import RecipeChangedError
from lowmem.protocol.recipe import Input, is_same_data
from lowmem.worker import input_checks
from lowmem.worker.input_checks import (
    WatchedInputs,
    content_of,
    holds,
    input_at,
    stamp_of,
)


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    monkeypatch.setattr(input_checks, "_SETTLED_NS", -(10**15))


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "tables"
    (path / "deep").mkdir(parents=True)
    (path / "a.csv").write_bytes(b"1")
    (path / "deep" / "b.csv").write_bytes(b"22")
    return path


def look(path):
    return stamp_of(path), content_of(path)


# --- the workspace within ---------------------------------------------------------------


def test_a_folder_around_the_workspace_is_known_however_it_is_spelt(tmp_path, data):
    space = tmp_path / "w"
    (space / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "to-space").symlink_to(space)
    for path in (
        tmp_path,
        space,
        space / "sub" / "..",
        data / "..",
        tmp_path / "link",
        tmp_path / "to-space",
    ):
        assert holds(path, space)
    assert holds(tmp_path, tmp_path / "link" / "w")
    assert not holds(data, space)
    assert not holds(space / "sub", space)
    # A name that begins as its name does is another.
    (tmp_path / "w2").mkdir()
    assert not holds(tmp_path / "w2", space)
    (data / "deep" / "loop").symlink_to(data)
    assert not holds(data, space)
    (data / "deep" / "up").symlink_to(space)
    assert holds(data, space)


# --- what cannot be read ----------------------------------------------------------------


@pytest.fixture(params=[errno.EACCES, errno.EPERM])
def closed(request, monkeypatch):
    """Close paths to this user, who may be root: to him no mode is closed."""
    paths = set()

    def refusing(system):
        def call(path, *args, **kwargs):
            if Path(os.fsdecode(path)) in paths:
                raise OSError(request.param, os.strerror(request.param), str(path))
            return system(path, *args, **kwargs)

        return call

    monkeypatch.setattr(os, "open", refusing(os.open))
    monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    for name in ("open", "read_bytes"):
        monkeypatch.setattr(Path, name, refusing(getattr(Path, name)))
    return paths


def test_what_is_closed_is_told_by_its_name_and_size_and_the_rest_by_its_bytes(
    data, closed
):
    private, folder = data / "private.csv", data / "lost+found"
    private.write_bytes(b"333")
    folder.mkdir()
    closed |= {private, folder}
    first = look(data)
    assert look(data) == first
    assert all(first)
    (data / "a.csv").write_bytes(b"7")
    second = content_of(data)
    closed.remove(private)
    private.write_bytes(b"4444")
    closed.add(private)
    third = content_of(data)
    closed.add(data / "found")
    folder.rename(data / "found")
    assert len({first[1], second, third, content_of(data)}) == 4


def test_of_a_closed_folder_that_was_named_the_user_hears(data, closed):
    closed.add(data)
    for tell in (stamp_of, content_of):
        with pytest.raises(StorageError, match="tables"):
            tell(data)


def test_what_cannot_be_asked_about_is_told_by_its_name(data, closed, monkeypatch):
    def refusing(system):
        def call(path, *args, **kwargs):
            if Path(os.fsdecode(path)) in closed:
                raise OSError(errno.EACCES, "closed", str(path))
            return system(path, *args, **kwargs)

        return call

    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    closed.add(data / "a.csv")
    first = look(data)
    assert look(data) == first
    closed.add(data / "c.csv")
    (data / "a.csv").rename(data / "c.csv")
    assert all(was != now for was, now in zip(first, look(data), strict=True))


# --- what comes and goes ----------------------------------------------------------------


def test_a_file_that_vanishes_within_a_look_was_never_there(data, monkeypatch):
    without = content_of(data)
    passing = data / "passing.csv"
    system = input_checks._told_of

    def late(entry):
        passing.unlink(missing_ok=True)
        return system(entry)

    passing.write_bytes(b"1")
    monkeypatch.setattr(input_checks, "_told_of", late)
    assert content_of(data) == without


def test_a_folder_that_vanishes_within_a_look_was_never_there(data, monkeypatch):
    without = content_of(data)
    gone = data / "gone"
    gone.mkdir()
    system = input_checks._entries_in

    def late(folder, above, **how):
        if Path(folder) == gone:
            gone.rmdir()
        return system(folder, above, **how)

    monkeypatch.setattr(input_checks, "_entries_in", late)
    assert content_of(data) == without


def test_a_link_to_itself_is_told_as_one_to_nothing_is(data):
    first = content_of(data)
    (data / "round").symlink_to("round")
    assert len({first, content_of(data)}) == 2
    assert stamp_of(data)


@pytest.mark.parametrize(
    "name",
    [
        ".~lock.a.csv#",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        ".ipynb_checkpoints/a-checkpoint.csv",
        ".a.csv.swp",
        "a.csv~",
        ".nfs0000000001",
    ],
)
def test_what_editors_and_systems_leave_in_a_folder_is_no_data(data, name):
    first = look(data)
    left = data / "deep" / name
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"1")
    now = look(data)
    assert now[0] == first[0]
    assert is_same_data(first[1], now[1])
    # Named as the input itself it is one.
    one = look(left)
    left.write_bytes(b"7")
    assert all(was != is_now for was, is_now in zip(one, look(left), strict=True))


@pytest.mark.parametrize("name", [".zattrs", ".a.csv", "lock", "a.swp.csv", "nfs1"])
def test_names_that_only_look_like_those_are_data(data, name):
    first = look(data)
    (data / name).write_bytes(b"1")
    assert not is_same_data(first[1], content_of(data))
    assert stamp_of(data) != first[0]


# --- mounts whose files are numbered anew -----------------------------------------------


def test_files_that_are_numbered_anew_are_read_once_and_then_by_their_times(
    data, monkeypatch
):
    n, system = [0], os.stat

    def stat(path, *args, **kwargs):
        found = system(path, *args, **kwargs)
        if not str(path).endswith(".csv"):
            return found
        n[0] += 1
        values = list(found)
        values[1] = 10**6 + n[0]
        names = ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")
        return os.stat_result(values, {x: getattr(found, x) for x in names})

    read = []
    system_read = input_checks._seen_at
    monkeypatch.setattr(os, "stat", stat)
    watched = WatchedInputs("own", {"data": input_at(data)})
    monkeypatch.setattr(
        input_checks, "_seen_at", lambda path: read.append(path) or system_read(path)
    )
    for _ in range(3):
        watched.refuse_changed()
    assert read == [data]
    (data / "a.csv").write_bytes(b"7")
    with pytest.raises(RecipeChangedError, match="is_input=False"):
        watched.refuse_changed()


def test_where_the_numbers_are_kept_another_file_of_the_same_times_is_read(
    data, monkeypatch
):
    first = stamp_of(data)
    system = input_checks._status

    def other(path):
        found = system(path)
        values = [*found]
        values[1] += 1
        names = ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")
        return os.stat_result(values, {x: getattr(found, x) for x in names})

    monkeypatch.setattr(input_checks, "_status", other)
    one, _, timed = first.partition(".")
    now, _, timed_now = stamp_of(data).partition(".")
    assert (one != now, timed) == (True, timed_now)


# --- memory -----------------------------------------------------------------------------


def peak_of_a_look(folder, n_files, *, is_stamped):
    folder.mkdir()
    for n in range(n_files):
        (folder / f"{n:08d}.png").touch()
    known = input_at(folder)
    if not is_stamped:
        # The stamp of another moment: its bytes are read again.
        known = Input(path=known.path, stamp="", content=known.content)
    watched = WatchedInputs("own", {"data": known})
    tracemalloc.start()
    watched.refuse_changed()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak_bytes


@pytest.mark.parametrize("is_stamped", [True, False])
def test_a_look_before_a_commit_holds_nothing_of_a_file(tmp_path, is_stamped):
    few = peak_of_a_look(tmp_path / "few", 500, is_stamped=is_stamped)
    many = peak_of_a_look(tmp_path / "many", 2500, is_stamped=is_stamped)
    assert many - few < 40 * 2000
