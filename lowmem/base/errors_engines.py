"""Errors of launching the shards of a job; see `lowmem.base.errors`."""

from __future__ import annotations

from lowmem.base.errors import (
    EXIT_BUDGET,
    EXIT_STOPPED,
    EXIT_UNAVAILABLE,
    LowmemError,
    MissingDependencyError,
)


class MissingEngineError(MissingDependencyError):
    """Raised when the library of the engine that was chosen is not installed."""

    def __init__(self, *, engine: str, package: str) -> None:
        LowmemError.__init__(
            self,
            f"package {package} is not installed, expected it for --engine {engine}. "
            f"Install it: pip install 'lowmem[{engine}]'",
        )


class EngineUnavailableError(LowmemError, RuntimeError):
    """Raised when an engine cannot be reached, or has nothing that could run a shard."""

    exit_code = EXIT_UNAVAILABLE

    def __init__(self, *, engine: str, problem: str, expected: str, todo: str) -> None:
        super().__init__(f"{engine} {problem}, expected {expected}. {todo}")


class SmallSlotError(LowmemError, MemoryError):
    """Raised when a place of an engine's is too small for a shard, before any is started."""

    exit_code = EXIT_BUDGET

    def __init__(self, *, place: str, found: str, expected: str, todo: str) -> None:
        super().__init__(f"{place} has {found}, expected {expected}. {todo}")


class SmallShareError(LowmemError, MemoryError):
    """Raised when what each shard has of the budget does not hold the job.

    Parameters
    ----------
    share
        RAM budget of each.
    said
        What a run with that is refused for.
    whole
        The --ram-budget that would do for all; empty where nobody knows.
    """

    exit_code = EXIT_BUDGET

    def __init__(
        self, *, n_shards: int, share: str, said: str, whole: str = ""
    ) -> None:
        how = f", which is {whole} for all of them" if whole else ""
        super().__init__(
            f"each of {n_shards} shards has {share} of RAM, expected what the job needs: "
            f"{said} That is of one shard{how}; fewer --shards have more each, and "
            "--shard-ram SIZE gives each so much."
        )


class LostShardError(LowmemError):
    """Raised when a shard was killed, or stopped at once, again and again."""

    exit_code = EXIT_STOPPED

    def __init__(self, *, shard: str, job: str, n_times: int, said: str) -> None:
        last = f" It said last: {said}" if said else ""
        super().__init__(
            f"shard {shard} of {job} was killed, or stopped as soon as it was started, "
            f"{n_times} times, expected at most {n_times - 1}.{last} What was committed is "
            "kept; once what ends it is mended (memory of the machine, a worker that dies), "
            "the same command goes on."
        )
