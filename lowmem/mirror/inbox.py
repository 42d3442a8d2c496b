"""What is still to be sent: the newest of each job, first come first served."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lowmem.mirror.snapshot import News
from lowmem.protocol.mirror_messages import FinishMirror, JobCommitted, JobDone

if TYPE_CHECKING:
    from lowmem.protocol.mirror_messages import MirrorOrder


class Inbox:
    """Filled by the thread that listens, emptied by the one that sends."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, News] = {}
        self._is_finishing = False

    @property
    def is_finishing(self) -> bool:
        """Whether nothing more will come."""
        return self._is_finishing

    def put(self, order: MirrorOrder) -> None:
        """Take what the supervisor says; a job's newer news replaces its older."""
        with self._changed:
            match order:
                case JobCommitted():
                    self._waiting[order.job] = News(
                        job=order.job, generation=order.generation
                    )
                case JobDone():
                    self._waiting[order.job] = News(
                        job=order.job,
                        generation=order.generation,
                        published=order.published,
                    )
                case FinishMirror():
                    self._is_finishing = True
            self._changed.notify()

    def put_back(self, news: News) -> None:
        """Take back what could not be sent, unless there is newer; last in line."""
        with self._changed:
            self._waiting.setdefault(news.job, news)

    def take(self) -> News | None:
        """Wait for news; None once all is sent and nothing more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_finishing)
            if not self._waiting:
                return None
            return self._waiting.pop(next(iter(self._waiting)))

    def rest(self, seconds: float, *, until_finishing: bool = True) -> None:
        """Wait so long; less if the end comes meanwhile."""
        with self._changed:
            if until_finishing:
                self._changed.wait_for(lambda: self._is_finishing, seconds)
            else:
                self._changed.wait(seconds)
