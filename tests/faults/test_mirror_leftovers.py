"""What a killed upload left in the mirror goes, and nothing else does."""

from __future__ import annotations

import msgspec
import pytest

from lowmem.base.workspace import Workspace
from lowmem.mirror.upload import Uploader
from tests import mirrors


@pytest.fixture
def space(tmp_path):
    return Workspace.at(tmp_path / "here" / "work")


@pytest.fixture
def mirror(tmp_path):
    return tmp_path / "mirror"


class Killed(BaseException):
    """The process has gone: nothing that it would have done afterwards happens."""


def kill_after(monkeypatch, name):
    """Let the next uploader's process be killed when it calls a method."""

    def die(*_):
        raise Killed

    monkeypatch.setattr(Uploader, name, die)


def test_what_a_killed_upload_left_goes_once_a_newer_one_is_marked(
    space, mirror, monkeypatch
):
    """A cut archive says nothing of whose it is; so its name is noted before."""
    mirrors.begin(space)
    mirrors.begin(space, "encode")
    lone = mirrors.commit(space, 0, "encode")
    with monkeypatch.context() as patch:
        kill_after(patch, "_mark")
        with pytest.raises(Killed):
            mirrors.uploader(space, mirror).upload(lone, is_last=False)
    news = mirrors.commit(space, 0)
    with monkeypatch.context() as patch:
        kill_after(patch, "_confirm")
        with pytest.raises(Killed):
            mirrors.uploader(space, mirror).upload(news, is_last=False)
    (cut,) = (mirror / "work").glob("train-*")
    cut.write_bytes(b"")
    assert mirrors.uploader(space, mirror).upload(news, is_last=False)
    assert not cut.exists()
    # Whole but for its marker, and all that there is of its job.
    (whole,) = (mirror / "work").glob("encode-*")
    assert str(whole.name) in space.uploading.read_text()
    assert mirrors.uploader(space, mirror).upload(
        mirrors.commit(space, 1, "encode"), is_last=False
    )
    assert not whole.exists()
    assert not space.uploading.exists()


def test_nothing_that_is_marked_or_needed_is_cleared_as_a_leftover(space, mirror):
    mirrors.begin(space)
    sender = mirrors.uploader(space, mirror, has_data=True)
    mirrors.make_store(space, 3)
    for generation in range(2):
        assert sender.upload(mirrors.commit(space, generation), is_last=True)
    names = sorted(path.name for path in (mirror / "work").iterdir())
    noted = [name for name in names if not name.endswith(".ok")]
    space.uploading.write_bytes(msgspec.json.encode([*noted, "no name", "../x.data"]))
    again = mirrors.uploader(space, mirror, has_data=True)
    assert again.upload(mirrors.commit(space, 2), is_last=True)
    assert {path.name for path in (mirror / "work").iterdir()} >= set(names)
