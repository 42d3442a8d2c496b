"""The mirror's process stays as small as plans take it to be, while it sends."""

from __future__ import annotations

import os
import time

import pytest

from lowmem.base.workspace import Workspace
from lowmem.memory.process_tree import anonymous_bytes
from lowmem.protocol.mirror_messages import Durable, JobCommitted, Keep
from lowmem.supervisor.order import MIRROR_BYTES
from lowmem.supervisor.processes import HelperProcess
from tests import mirrors

pytestmark = [pytest.mark.process, pytest.mark.memory, pytest.mark.slow]

MIB = 2**20


def test_the_mirror_takes_less_than_it_is_planned_to_while_it_sends(tmp_path):
    space = Workspace.at(tmp_path / "work")
    mirrors.begin(space)
    url = str(tmp_path / "mirror")
    request = Keep(url=url, workspace=str(space.root), has_data=False)
    helper = HelperProcess("lowmem.mirror", request)
    most, n_durable = 0, 0
    try:
        for generation in range(2):
            mirrors.commit(space, generation, state=os.urandom(20 * MIB))
            (space.staging("train") / "rows.bin").write_bytes(os.urandom(20 * MIB))
            helper.tell(JobCommitted(job="train", generation=generation))
            give_up_at = time.monotonic() + 60
            while n_durable <= generation and time.monotonic() < give_up_at:
                most = max(most, anonymous_bytes(helper.pid))
                answers = helper.receive(0.01)
                n_durable += sum(isinstance(answer, Durable) for answer in answers)
    finally:
        helper.end()
    assert n_durable == 2
    assert 5 * MIB < most < MIRROR_BYTES, f"{most / MIB:.1f} MiB"
