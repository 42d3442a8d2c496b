"""What belongs to another user is said to, by every command alike."""

from __future__ import annotations

import errno
import os

import pytest

from lowmem.base.config import read_config
from lowmem.base.errors import ConfigError, StorageError
from lowmem.base.errors_outside import NotAllowedError
from lowmem.base.files import storage_errors

NOBODY = 65534


def as_another_user(work):
    """Call a function as a user who may not read what this one made."""
    if os.geteuid():
        return work()
    os.seteuid(NOBODY)
    try:
        return work()
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_right_that_is_lacking_is_no_full_disk(tmp_path, number):
    with pytest.raises(NotAllowedError) as found, storage_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    assert found.value.exit_code == 74
    assert str(found.value) == (
        f"{tmp_path} is not this user's to read or write: {os.strerror(number)}. It "
        "belongs to somebody else, or is protected: take another --workspace, or have "
        "its owner give the right to it. What was committed is intact."
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_asks_for_no_right(tmp_path, number):
    told = pytest.raises(StorageError, match="free some space")
    with told as found, storage_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    assert not isinstance(found.value, NotAllowedError)


def test_a_configuration_that_may_not_be_read_is_one_sentence(tmp_path):
    path = tmp_path / "lowmem.toml"
    path.write_text("[run]\n")
    path.chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o011)
    with pytest.raises(ConfigError) as found:
        as_another_user(lambda: read_config(path))
    assert str(found.value) == (
        f"{path} cannot be read (Permission denied), expected a file that the disk "
        "gives back and this user may read."
    )
