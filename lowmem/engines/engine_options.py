"""The options of a launch, checked, and the memory that each shard gets. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from lowmem.base.errors import OptionValueError, UsageError
from lowmem.base.units import budget_bytes_from_size
from lowmem.engines.slurm_script import given_options
from lowmem.protocol.options import flag_of
from lowmem.shards.shard import MOST_SHARDS

if TYPE_CHECKING:
    from collections.abc import Sequence

EngineName = Literal["local", "dask", "ray", "slurm"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
_WITH_ADDRESS = {"dask", "ray"}
# Of `lowmem run`, what a launch has for itself, and gives its shards in its own words.
_WITH_VALUE = {
    "engine", "shards", "shard_ram", "engine_address", "engine_option", "workspace",
    "ram_budget", "time_budget", "mirror",
}  # fmt: skip
_ALONE = {"mirror_data", "restart"}
# Bytes that the launcher itself takes, and for each shard the engine beside it, as the
# budget counts: measured by benchmarks/scale.py, and rounded up.
_LAUNCHER_BYTES = {"local": 32 * 2**20, "dask": 96 * 2**20, "ray": 512 * 2**20}
_BESIDE_BYTES = {"local": 0, "dask": 64 * 2**20, "ray": 96 * 2**20}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What a line asks of an engine.

    Attributes
    ----------
    shard_ram_bytes
        RAM budget of each shard; None for a share of the whole.
    address
        Where an engine that runs already is to be found; empty for none.
    more
        Options of `sbatch`.
    """

    engine: EngineName
    n_shards: int
    shard_ram_bytes: int | None
    address: str
    more: tuple[str, ...]

    @property
    def is_here(self) -> bool:
        """Whether all shards run on this machine, and share its budget."""
        return self.engine != "slurm" and not self.address


def engine_options(
    *,
    engine: str | None,
    shards: int | None,
    shard_ram: str | None,
    address: str | None,
    more: Sequence[str],
) -> EngineOptions | None:
    """Return what a line asks of an engine; None where it asks for none.

    Raises
    ------
    UsageError
        If an option is wrong, or of no use with that engine.
    """
    given = {
        "shards": shards,
        "shard_ram": shard_ram,
        "engine_address": address,
        "engine_option": tuple(more) or None,
    }
    if engine is None:
        for name, value in given.items():
            if value is not None:
                raise OptionValueError(
                    option=flag_of(name), value=value, expected="--engine beside it"
                )
        return None
    chosen = next((name for name in ENGINES if name == engine), None)
    if chosen is None:
        raise OptionValueError(
            option="--engine", value=engine, expected=" or ".join(ENGINES)
        )
    if shards is None or not 1 <= shards <= MOST_SHARDS:
        raise OptionValueError(
            option="--shards",
            value=shards,
            expected=f"a whole number from 1 to {MOST_SHARDS}, beside --engine",
        )
    if address is not None and (engine not in _WITH_ADDRESS or not address):
        raise OptionValueError(
            option="--engine-address",
            value=address,
            expected="the address of a Dask scheduler or a Ray cluster, with "
            "--engine dask or ray",
        )
    if more and engine != "slurm":
        raise OptionValueError(
            option="--engine-option",
            value=more[0],
            expected="an option of sbatch, with --engine slurm",
        )
    given_options(more)
    return EngineOptions(
        engine=chosen,
        n_shards=shards,
        shard_ram_bytes=None
        if shard_ram is None
        else budget_bytes_from_size(shard_ram),
        address=address or "",
        more=tuple(more),
    )


def shard_bytes(options: EngineOptions, ram_bytes: int, *, is_given: bool) -> int:
    """Return the RAM budget of each shard.

    Parameters
    ----------
    ram_bytes
        RAM budget of all of them together.
    is_given
        Whether somebody chose it: else it follows from this machine.

    Raises
    ------
    UsageError
        If nobody chose one for other machines, or the engine leaves nothing of it.

    Examples
    --------
    >>> two = engine_options(engine="local", shards=2, shard_ram=None, address=None,
    ...                      more=())
    >>> shard_bytes(two, 10**9, is_given=True)
    483222784
    """
    if options.shard_ram_bytes is not None:
        return options.shard_ram_bytes
    if not options.is_here:
        if not is_given:
            raise UsageError(
                f"neither --shard-ram nor --ram-budget is given with --engine "
                f"{options.engine}, expected one of them: what this machine has says "
                "nothing of those that run the shards. --shard-ram SIZE is that of each."
            )
        return ram_bytes // options.n_shards
    left = ram_bytes - own_bytes(options)
    if left < options.n_shards:
        raise OptionValueError(
            option="--ram-budget",
            value=ram_bytes,
            expected=f"more than the {own_bytes(options):,} bytes that the launcher and "
            f"its engine take for {options.n_shards} shards",
        )
    return left // options.n_shards


def own_bytes(options: EngineOptions) -> int:
    """Return the bytes of this machine that a launch and its engine take themselves."""
    if not options.is_here:
        return 0
    beside = _BESIDE_BYTES[options.engine] * options.n_shards
    return _LAUNCHER_BYTES[options.engine] + beside


def shard_words(words: Sequence[str], own: Sequence[str]) -> list[str]:
    """Return the words after ``lowmem`` of a shard, from those that were typed.

    Parameters
    ----------
    words
        What was typed.
    own
        Options that the launch gives it instead of its own.

    Examples
    --------
    >>> shard_words(["run", "encode", "--engine", "local", "--shards=2", "--seed", "3"],
    ...             ["--ram-budget", "1G"])
    ['run', '--ram-budget', '1G', 'encode', '--seed', '3']
    """
    command, *rest = words
    kept: list[str] = []
    given = iter(rest)
    for word in given:
        name, equals, _ = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if word == "--":
            kept += [word, *given]
        elif not word.startswith("--") or name not in _WITH_VALUE | _ALONE:
            kept.append(word)
        elif name in _WITH_VALUE and not equals:
            next(given, None)
    return [command, *own, *kept]
