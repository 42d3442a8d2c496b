"""The mirror in the background: take news, send it, say what became durable.

Nothing that a store does ends this loop: every failure is told and tried again later.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.mirror.policy import wait_s
from lowmem.mirror.recover import catch_up, recover
from lowmem.mirror.relation import Relation, is_empty, rejoin, standing_of
from lowmem.mirror.snapshot import TooLargeError
from lowmem.mirror.upload import OvertakenError
from lowmem.protocol.mirror_messages import (
    Answered,
    AtRest,
    Durable,
    Mended,
    Overtaken,
    RecoveredJob,
    Shared,
    StaysHere,
    Troubled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowmem.base.workspace import Workspace
    from lowmem.mirror.inbox import Inbox
    from lowmem.mirror.recover import Recovered
    from lowmem.mirror.remote import Remote
    from lowmem.mirror.snapshot import News
    from lowmem.mirror.upload import Uploader
    from lowmem.protocol.messages import Message

# seconds until a job is looked at again that went on while it was read.
_RACE_S = 0.2
# seconds between two tries while the run waits for the last one.
_LAST_WAIT_S = 1.0
_SHARED = (
    "another machine has written to this mirror: its {n} generations are kept apart, "
    "neither read nor deleted here"
)
_BEHIND = "went on from where this workspace is: that is taken first"
_LACKING = "the damaged lines of the journal were taken from there, as they were"
_OUTDATED = (
    "does not hold {names} as the journal tells, and what is here is older. Move it away, "
    "and it is made again as it was"
)
_ABSENT = "does not hold {names}: made again where they are needed, as they were"


@dataclass(slots=True)
class Server:
    """Sends what comes in until there is no more."""

    inbox: Inbox
    uploader: Uploader
    send: Callable[[Message], None]
    _failures: int = 0
    _others: int = 0

    def run(self) -> None:
        """Serve to the end of the run."""
        while (news := self.inbox.take()) is not None:
            self._serve(news)
        self.send(AtRest())

    def _serve(self, news: News) -> None:
        is_last = self.inbox.is_finishing
        try:
            about = self.uploader.upload(news, is_last=is_last)
        except OvertakenError:
            self.send(Overtaken(job=news.job, generation=news.generation))
            return
        except TooLargeError as error:
            is_done = news.published is not None
            self.send(StaysHere(job=news.job, n_bytes=error.n_bytes, is_done=is_done))
            return
        except Exception as error:  # noqa: BLE001 - a store's library raises what it likes
            self._failed(news, error)
            return
        self._worked()
        if about is not None:
            self.send(
                Durable(
                    job=about.job, generation=about.generation, is_done=about.is_done
                )
            )
        elif not is_last:
            self.inbox.put_back(news)
            self.inbox.rest(_RACE_S)

    def _failed(self, news: News, error: Exception) -> None:
        self._failures += 1
        self.uploader.forget()
        if self._failures == 1:
            self.send(Troubled(problem=f"{type(error).__name__}: {error}"))
        self.inbox.put_back(news)
        seconds = wait_s(self._failures, random.random())  # noqa: S311 - no secret
        if self.inbox.is_finishing:
            self.inbox.rest(min(seconds, _LAST_WAIT_S), until_finishing=False)
        else:
            self.inbox.rest(seconds)

    def _worked(self) -> None:
        if self._failures:
            self.send(Mended())
        self._failures = 0
        if len(self.uploader.others) > self._others:
            self.send(Shared(n_generations=len(self.uploader.others)))
        self._others = len(self.uploader.others)


def answer_recover(
    remote: Remote, space: Workspace, url: str, *, is_repair: bool = False
) -> Answered:
    """Fill an empty workspace, and take one that is behind to where its mirror is.

    Of one that is neither it is only said how the two stand.
    """
    if is_empty(space):
        return _answered(recover(remote, space, url))
    before = (_LACKING,) if is_repair and rejoin(remote, space) else ()
    match standing_of(remote, space):
        case Relation.BEHIND:
            return _answered(catch_up(remote, space), *before, _BEHIND)
        case Relation.SHARED:
            shared = _SHARED.format(n="").replace("  ", " ")
            return Answered(notes=(*before, shared), is_changed=bool(before))
        case Relation.ALONE:
            return Answered(notes=before, is_changed=bool(before))


def _answered(found: Recovered, *before: str) -> Answered:
    notes = [*before]
    notes += [f"not whole, so left out: {text}" for text in found.damaged]
    notes += [f"was there already, so kept: {path}" for path in found.kept]
    if found.outdated:
        notes.append(_OUTDATED.format(names=", ".join(found.outdated)))
    if found.absent:
        notes.append(_ABSENT.format(names=", ".join(found.absent)))
    if found.other_lineages:
        notes.append(_SHARED.format(n=found.other_lineages))
    return Answered(
        jobs=tuple(
            RecoveredJob(
                job=about.job,
                generation=about.generation,
                is_done=about.is_done,
                at=about.at,
            )
            for about in found.jobs
        ),
        notes=tuple(notes),
        is_changed=bool(found.jobs or before),
    )
