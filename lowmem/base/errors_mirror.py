"""The errors of the mirror, with their wording; see `lowmem.base.errors`."""

from __future__ import annotations

from lowmem.base.errors import (
    EXIT_DATA,
    EXIT_STORAGE,
    EXIT_UNAVAILABLE,
    LowmemError,
    StorageError,
)


class MirrorPackageError(LowmemError, ImportError):
    """Raised when the mirror's kind of store needs a package that is not installed."""

    exit_code = EXIT_UNAVAILABLE

    def __init__(self, *, url: str, package: str | None, problem: str) -> None:
        todo = f"`pip install {package}` brings it" if package else "Give another URL"
        super().__init__(
            f"mirror {url} cannot be opened: {problem.rstrip('.')}. {todo}; a folder "
            "needs nothing more."
        )


class MirrorMissingError(LowmemError, OSError):
    """Raised when the folder that is to hold the mirror is not there."""

    exit_code = EXIT_UNAVAILABLE

    def __init__(self, *, url: object) -> None:
        super().__init__(
            f"mirror {url} is not there, nor the folder above it. Is the drive mounted? "
            "Nothing was made in its place, since that would be lost with this machine."
        )


class MirrorUnreadableError(StorageError):
    """Raised when an empty workspace cannot ask its mirror what it holds."""

    exit_code = EXIT_STORAGE

    def __init__(self, *, url: str, problem: str) -> None:
        LowmemError.__init__(
            self,
            f"mirror {url} cannot be read: {problem}. The workspace is empty, so what the "
            "mirror holds has to be known first. Mend the mirror, or leave --mirror away "
            "to start over.",
        )


class MirrorUnreachableError(StorageError):
    """Raised when a mirror that is to be verified does not give back what it holds."""

    exit_code = EXIT_STORAGE

    def __init__(self, *, problem: str) -> None:
        LowmemError.__init__(self, problem)


class MirrorDamagedError(LowmemError, ValueError):
    """Raised when a mirror holds generations, and none of them is whole."""

    exit_code = EXIT_DATA

    def __init__(self, *, url: str, damaged: list[str]) -> None:
        super().__init__(
            f"mirror {url} holds {len(damaged)} generations and none is whole "
            f"({', '.join(damaged[:3])}). They are left for inspection; --mirror with "
            "another folder, or none, starts over."
        )
