"""What is looked at in a job: each check runs it by the real command, and compares.

check     what is done                                  what it finds
memory    the budget is watched, cycles are compared    a leak; a job too large
writes    files outside the staging folder              what no kill takes back
repeats   again, on another day, in another folder      chance, time, places
cycles    one cycle instead of one for each point       what is done at a commit
settings  every rung of the ladder                      a setting in the result
kills     SIGKILL after every commit                    what no commit holds
blocks    of a map: another number of rows a call       a row that needs another
shards    of a job with blocks: made by two shards      a block that needs another
seed      another seed, where the job is random         chance without the seed
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from lowmem.base.units import bytes_from_size, format_bytes
from lowmem.testing.bench import Bench
from lowmem.testing.differences import first_difference, first_of_mappings
from lowmem.testing.script import kills_at_every_commit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lowmem.testing.bench import Ran
    from lowmem.testing.case import Case

# Fewer commits tell nothing of a leak, and little of a cut.
LEAST_COMMITS = 6
# The first cycles fill what is then kept: modules, caches.
_N_FIRST = 2
# Cycles that a trend is taken of; each pair of them is looked at.
_N_TREND = 200
# Steps of a cycle that no test data fill.
_ONE_CYCLE = 10**9
# Files named in a message.
_N_SHOWN = 5
_MEMORY_VERDICTS = {
    "ram_limit": "passed its budget",
    "vram_limit": "passed its budget on the device",
    "machine_limit": "was stopped, since the machine's memory was full",
    "kernel_oom": "was killed by the kernel, since the machine's memory was full",
}


def check(case: Case, *, only: Sequence[str] = ()) -> dict[str, str]:
    """Hold a job to what lowmem promises of it, by real runs that are really killed.

    Parameters
    ----------
    only
        Names of checks, of `CHECKS`; all of them where empty.

    Returns
    -------
    told
        What each check has seen, by its name.

    Raises
    ------
    CheckError
        An `AssertionError` that says which check failed, what differs, and where.
    ValueError
        If a check is not known.

    Notes
    -----
    Time: a run takes some 2 s beside the job's own work, and each kill 1 s. There are
    four runs, one for each further rung, and as many kills as the job commits.

    Examples
    --------
    A test of pytest's, of a job with 8 commit points::

        def test_count(tmp_path):
            check(Case("count.py", tmp_path, options={"rows": 8}, ram="150M"))
    """
    unknown = [name for name in only if name not in CHECKS]
    if unknown:
        raise ValueError(f"only has {unknown}, expected some of {list(CHECKS)}")
    if case.folder is None:
        with tempfile.TemporaryDirectory(prefix="lowmem-testing-") as folder:
            return check(replace(case, folder=Path(folder)), only=only)
    root = tempfile.mkdtemp(prefix="runs-", dir=case.folder)
    bench = Bench(case, Path(root).resolve())
    _refuse_too_short(bench)
    return {name: CHECKS[name](bench) for name in only or CHECKS}


def _refuse_too_short(bench: Bench) -> None:
    n_commits, todo = bench.whole.n_commits, "Give the test more data."
    if bench.whole.is_map:
        todo = 'Give the test more data, or options={"rows": N} with fewer rows.'
    if n_commits < LEAST_COMMITS:
        raise bench.failure(
            "run",
            f"offers {n_commits} commit points with this data, expected at least "
            f"{LEAST_COMMITS} to be cut at",
            todo,
        )


def _equal(
    bench: Bench, name: str, run: Ran, todo: str, *, is_rounded: bool = False
) -> None:
    """Refuse a run whose results are not those of the unbroken one."""
    whole = bench.whole
    one, other = run.report, whole.report
    found = first_difference(
        run.space.root,
        whole.space.root,
        sorted({*one.published, *other.published}),
        is_rounded=is_rounded,
    )
    if found is None and not is_rounded:
        found = first_of_mappings(one.summary, other.summary, "Result(summary=)")
    if found is not None:
        raise bench.failure(name, f"{run.how} gives another result: {found}", todo)


# --- of the unbroken run ----------------------------------------------------------


def _memory(bench: Bench) -> str:
    """Refuse a job that passes its budget, dies, or holds more after each cycle."""
    report = bench.whole.report
    for event in report.events:
        if event.verdict in _MEMORY_VERDICTS:
            used = (
                "" if event.ram_bytes is None else f"{format_bytes(event.ram_bytes)} "
            )
            raise bench.failure(
                "memory",
                f"{_MEMORY_VERDICTS[event.verdict]}: {used}in "
                f"{event.where or 'an unknown line'}",
                "Work in smaller steps, or give the test a larger ram.",
            )
    for event in report.events:
        signal = f", {event.signal}" if event.signal else ""
        raise bench.failure(
            "memory",
            f"lost a worker ({event.verdict}{signal}) and went on with another",
            "Let the job reach its end without a kill; lowmem report tells of each end.",
        )
    ends = [
        cycle.ram_end_bytes
        for cycle in report.committed[:-1]
        if cycle.ram_end_bytes is not None and cycle.attempt == 1
    ]
    growth = growth_of(ends)
    is_replaced = report.attempts > 1
    if is_replaced or growth > bytes_from_size(bench.case.growth):
        how = f"grew from {format_bytes(ends[0])} to {format_bytes(ends[-1])} in {len(ends)}"
        again = ", until its worker was replaced" if is_replaced else ""
        raise bench.failure(
            "memory",
            f"holds more after each cycle: what is left after the clean-up {how} cycles"
            f"{again}",
            "Drop what a cycle has made before the next; where the growth is meant, say "
            "so by growth=.",
        )
    peak = report.ram_peak_bytes
    budget = report.budgets.ram_bytes
    of = "" if budget is None else f" of {format_bytes(budget)}"
    return (
        f"peak {format_bytes(peak or 0)}{of}, growth {format_bytes(max(0.0, growth))}"
    )


def growth_of(ends: Sequence[int]) -> float:
    """Return by how many bytes memory grows over some cycles, whatever single ones do.

    The slope is the median of those of all pairs of cycles (Theil and Sen), times their
    number; the first cycles do not count.

    Examples
    --------
    >>> growth_of([50, 80, 100, 110, 120, 130]), growth_of([50, 80, 100, 100, 900, 100])
    (30.0, 0.0)
    >>> growth_of([50, 80])
    0.0
    """
    kept = ends[_N_FIRST:]
    kept = kept[:: 1 + len(kept) // _N_TREND]
    pairs = combinations(enumerate(kept), 2)
    slopes = [(later - sooner) / (n - m) for (m, sooner), (n, later) in pairs]
    return median(slopes) * (len(kept) - 1) if slopes else 0.0


def _writes(bench: Bench) -> str:
    """Refuse a job that writes anywhere but in its staging folder."""
    stray = bench.whole.stray
    if stray:
        shown, n_more = ", ".join(stray[:_N_SHOWN]), len(stray) - _N_SHOWN
        more = f" and {n_more} more" if n_more > 0 else ""
        raise bench.failure(
            "writes",
            f"wrote outside its staging folder: {shown}{more}",
            "Write to ctx.staging and publish it; a kill takes back nothing that lies "
            "elsewhere. What is meant may be named by may_write=.",
        )
    return "nothing outside the staging folder"


# --- against the unbroken run -----------------------------------------------------


def _repeats(bench: Bench) -> str:
    how = "run again, on another day and in another folder,"
    run = bench.run("again", how, check="repeats", is_another_day=True)
    _equal(
        bench,
        "repeats",
        run,
        "Key random numbers by ctx.seed and a position, sort what has no order, and keep "
        "times, folders and names of processes out of a result.",
    )
    return "the same on another day and in another folder"


def _cycles(bench: Bench) -> str:
    run = bench.run(
        "one-cycle", "run in one cycle", check="cycles", cycle_steps=_ONE_CYCLE
    )
    _equal(
        bench,
        "cycles",
        run,
        "A commit may happen at any point or at none: let flush and arrays change "
        "nothing that the result depends on.",
    )
    return f"the same in one cycle as in {bench.whole.n_commits}"


def _settings(bench: Bench) -> str:
    used = dict(bench.whole.report.committed[0].settings)
    others = [rung for rung in bench.whole.ladder if rung != used]
    for number, rung in enumerate(others, start=1):
        pins = [word for key, n in rung.items() for word in ("--set", f"{key}={n}")]
        told = ", ".join(f"{key}={n}" for key, n in rung.items())
        run = bench.run(
            f"rung-{number}", f"run with {told}", check="settings", words=pins
        )
        _equal(
            bench,
            "settings",
            run,
            "A memory setting must not change the result: sum sub-blocks of a fixed "
            "number of rows, and let the setting say how many are held.",
        )
    return f"the same with each of {1 + len(others)} settings"


def _kills(bench: Bench) -> str:
    n_commits = bench.whole.n_commits
    kills = kills_at_every_commit(n_commits)
    how = f"killed after each of its {n_commits} commits and gone on with"
    run = bench.run("killed", how, check="kills", kills=kills)
    _equal(
        bench,
        "kills",
        run,
        "Only what a commit holds (ctx.commit, ctx.blocks, ctx.append; state and arrays) outlives "
        "a kill: keep there all that the job goes on from.",
    )
    unit, n_items = run.report.unit, bench.whole.report.items
    if run.report.items != n_items:
        raise bench.failure(
            "kills",
            f"{how} counts {run.report.items} {unit}, expected {n_items}",
            "Let items say what was done since the point before, after a cut too.",
        )
    return f"the same after {len(kills)} kills, one after each commit"


def _blocks(bench: Bench) -> str:
    if not bench.whole.is_map:
        return "no map"
    n_rows = int(str(bench.whole.report.summary["n"]))
    for rows in (1, n_rows):
        how = f"run with {'one row' if rows == 1 else 'all rows'} a call"
        run = bench.run(f"rows-{rows}", how, check="blocks", options={"rows": rows})
        _equal(
            bench,
            "blocks",
            run,
            "Let each row of the result depend on its own row alone.",
            is_rounded=True,
        )
    return "the same, but for rounding, with one row a call and with all"


def _shards(bench: Bench) -> str:
    if not bench.whole.has_blocks:
        return "no shards"
    how = "made by two shards, the second first, and merged,"
    run = bench.run("shards", how, check="shards", n_shards=2)
    _equal(
        bench,
        "shards",
        run,
        "Let RowBlocks.make depend on the recipe and its rows alone: on no block that was "
        "made before, no ctx.settings, and no state that it leaves.",
    )
    return "the same by two shards, the second first"


def _seed(bench: Bench) -> str:
    if not bench.case.is_random:
        return "not random"
    other = bench.case.seed + 1
    how = f"run with --seed {other}"
    run = bench.run("seed", how, check="seed", words=["--seed", other])
    names = sorted(bench.whole.report.published)
    if first_difference(run.space.root, bench.whole.space.root, names) is None:
        raise bench.failure(
            "seed",
            f"{how} gives the same {', '.join(names)}",
            "Key random numbers by ctx.seed.",
        )
    return "another with another seed"


CHECKS: dict[str, Callable[[Bench], str]] = {
    "memory": _memory,
    "writes": _writes,
    "repeats": _repeats,
    "cycles": _cycles,
    "settings": _settings,
    "kills": _kills,
    "blocks": _blocks,
    "shards": _shards,
    "seed": _seed,
}
