"""Several claimants of one shared folder, an operation at a time, in any order at all.

Each claimant is a thread that waits for its turn before every operation on the storage
and every sleep. So what may happen between any two of them is a list of numbers, and a
failure is found again. The storage is one in memory that lists late, and clocks run
apart.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from lowmem.shards.board import Board
from lowmem.shards.claiming import Claimant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lowmem.shards.markers import Claim
    from lowmem.shards.shard import Shard


class Killed(BaseException):
    """What ends a claimant in the midst of anything."""


@dataclass
class Files:
    """What the storage holds: names in the order in which they came."""

    data: dict[str, bytes] = field(default_factory=dict)
    born: dict[str, int] = field(default_factory=dict)
    n_operations: int = 0


@dataclass
class Claiming:
    """One process of a shard, which is a thread here."""

    holder: str
    stage: Stage
    lateness: int
    skew_s: float = 0.0
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    is_over: bool = False
    is_killed: bool = False
    error: BaseException | None = None

    # --- as a storage -------------------------------------------------------------

    def names(self, folder: str) -> Sequence[str]:
        self.stage.operation(self)
        files = self.stage.files
        prefix = f"{folder}/" if folder else ""
        found = {
            name.removeprefix(prefix).partition("/")[0]
            for name in files.data
            if name.startswith(prefix)
            and files.born[name] + self.lateness <= files.n_operations
        }
        # Twice, and backwards.
        return [*sorted(found, reverse=True), *found]

    def create(self, name: str, parts) -> None:
        self.stage.operation(self)
        files = self.stage.files
        assert name not in files.data, "a name was used twice"
        # A kill in the midst leaves a part, as storage that is not atomic does.
        data = b"".join(bytes(part) for part in parts)
        files.data[name] = data[: len(data) // 2]
        files.born[name] = files.n_operations
        self.stage.operation(self)
        files.data[name] = data

    def read(self, name: str) -> Iterator[bytes]:
        self.stage.operation(self)
        if name not in self.stage.files.data:
            raise FileNotFoundError(name)
        yield self.stage.files.data[name]

    def remove(self, name: str) -> None:
        self.stage.operation(self)
        self.stage.files.data.pop(name, None)

    # --- as a clock ---------------------------------------------------------------

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.stage.now_s, UTC)

    def monotonic(self) -> float:
        return self.stage.now_s + self.skew_s

    def sleep(self, _: float) -> None:
        self.stage.operation(self)


def _die_if_killed(one: Claiming) -> None:
    if one.is_killed:
        raise Killed


class Stage:
    """Gives turns to claimants."""

    def __init__(self) -> None:
        self.files = Files()
        self.now_s = 0.0
        self.claimants: list[Claiming] = []
        self._back = threading.Semaphore(0)

    def begin(
        self,
        shard: Shard,
        n_blocks: int,
        rows_of: Callable[[Claim], bytes],
        *,
        holder: str,
        lateness: int = 0,
        skew_s: float = 0.0,
        lease_s: int = 10,
    ) -> Claiming:
        """Begin a process of a shard, which has its first turn later."""
        one = Claiming(holder=holder, stage=self, lateness=lateness, skew_s=skew_s)

        def work() -> None:
            one.go.acquire()
            try:
                _die_if_killed(one)
                board = Board(one, one)
                claimant = Claimant(
                    job="job",
                    board=board,
                    shard=shard,
                    n_blocks=n_blocks,
                    holder=holder,
                    lease_s=lease_s,
                    clock=one,
                )
                for claim in claimant.claims():
                    board.publish(claim, [rows_of(claim)])
            except Killed:
                pass
            except BaseException as error:  # noqa: BLE001 - told to the test
                one.error = error
            one.is_over = True
            self._back.release()

        threading.Thread(target=work, daemon=True).start()
        self.claimants.append(one)
        return one

    def operation(self, one: Claiming) -> None:
        """Give the turn back, and wait for the next; called by a claimant's thread."""
        if threading.current_thread() is threading.main_thread():
            return
        self._back.release()
        one.go.acquire()
        _die_if_killed(one)
        self.files.n_operations += 1

    @property
    def live(self) -> list[Claiming]:
        """Those that have not ended."""
        return [one for one in self.claimants if not one.is_over]

    def turn(self, one: Claiming, *, passes_s: float = 0.0) -> None:
        """Let one do its next operation."""
        self.now_s += passes_s
        one.go.release()
        self._back.acquire()
        if one.error is not None:
            raise one.error

    def kill(self, one: Claiming) -> None:
        """End one where it stands."""
        one.is_killed = True
        while not one.is_over:
            self.turn(one)

    def to_the_end(self, *, passes_s: float = 3.0) -> None:
        """Let all that are left have their turns until none has anything to do."""
        for _ in range(100_000):
            if not self.live:
                return
            for one in self.live:
                self.turn(one, passes_s=passes_s)
        raise AssertionError("somebody waits for ever")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for one in self.live:
            self.kill(one)

    def board(self) -> Board:
        """Return the board as somebody sees it who sees all."""
        reader = Claiming(holder="reader", stage=self, lateness=0)
        return Board(reader, reader)
