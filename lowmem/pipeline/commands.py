"""The command line that continues a job which nobody typed: derived, and pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.protocol.options import flag_of, words_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowmem.pipeline.orders import RunOptions

# Those that say how to run; what is to be done (`restart`, `pins`, `extra`) was said of
# another job.
_SHARED = (
    "ram_budget",
    "vram_budget",
    "time_budget",
    "device",
    "seed",
    "cycle_steps",
    "recycle_every",
    "mirror",
    "mirror_data",
    "quiet",
)


def derived_command(
    reference: str,
    values: Mapping[str, object],
    options: RunOptions,
    *,
    table: Mapping[str, object],
    workspace: str | None,
) -> tuple[str, ...]:
    """Return the words after ``lowmem`` that would begin a job as it is begun now.

    Parameters
    ----------
    values
        The job's own options, as far as they are given.
    options
        Those that every run has; what lowmem.toml gives is not said again.
    table
        That file's ``[run]``.
    workspace
        The folder as the user names it; None where it is the default.
    """
    configured = {key.replace("-", "_"): value for key, value in table.items()}
    shared = {name: getattr(options, name) for name in _SHARED}
    words = ["run", reference]
    if workspace is not None:
        words += ["--workspace", workspace]
    for name, value in {**values, **shared}.items():
        is_said = name in shared and configured.get(name, False) == value
        # No option of a run is turned off by a word: it is not given.
        if not (is_said or (name in shared and value is False)):
            words += words_of(name, value)
    return tuple(words)


def typed_value(words: Sequence[str], name: str) -> str | None:
    """Return the value that a typed line gives an option; None if it gives none.

    Examples
    --------
    >>> typed_value(("run", "train", "--mirror=/drive"), "mirror")
    '/drive'
    """
    flag = flag_of(name)
    for n, word in enumerate(words):
        if word == "--":
            return None  # What follows is a command's own.
        if word == flag:
            return words[n + 1] if n + 1 < len(words) else None
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None
