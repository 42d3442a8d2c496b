"""`ctx.restore` and `ctx.commit`: what a job keeps by name, to the bit, or a clear refusal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import IncrementalPCA

import lowmem
from lowmem.base.errors import JobDefinitionError
from lowmem.base.errors_loop import OtherStateError, UnkeptValueError
from lowmem.worker import cycles
from lowmem.worker.state_digests import marked
from tests.driver import Cutter, drive

ROWS = np.random.default_rng(1).normal(size=(130, 5)).astype(np.float32)
STEP = 20


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(cycles, "clean_up", lambda: 0)


class Tally:
    """Somebody's own object, with the state that it says it has."""

    def __init__(self):
        self.seen, self.asked = [], 0

    def get_state(self):
        self.asked += 1
        return {"seen": self.seen}

    def set_state(self, state):
        self.seen = state["seen"]


def learning(made):
    @lowmem.job(name="learning", unit="rows")
    def work(ctx):
        begun = {
            "km": MiniBatchKMeans(3, random_state=0, batch_size=8),
            "pca": IncrementalPCA(2),
            "counts": np.zeros(3, np.int64),
            "rng": np.random.default_rng(ctx.seed),
            "tally": Tally(),
            "worst": -math.inf,
            "last": None,
        }
        at = ctx.restore(**begun)
        assert all(vars(at)[name] is begun[name] for name in ("km", "pca", "tally"))
        for block in ctx.blocks(ROWS, rows=STEP):
            learn(at, block)
            yield ctx.commit(**vars(at))
        made.append(at)

    return work


def learn(at, block):
    at.km.partial_fit(block)
    if len(block) > 2:
        at.pca.partial_fit(block)
    at.counts = at.counts + np.bincount(at.km.predict(block), minlength=3)
    at.tally.seen.append(int(at.rng.integers(2**40)))
    at.worst = max(at.worst, float(block.max()))
    at.last = np.float32(block[-1, -1])


def told(at):
    """Return all that was kept, as bytes and plain values."""
    return {
        "centres": at.km.cluster_centers_.tobytes(),
        "counts of it": at.km._counts.tobytes(),
        "axes": at.pca.components_.tobytes(),
        "seen by it": int(at.pca.n_samples_seen_),
        "counts": (at.counts.dtype.str, at.counts.tobytes()),
        "next": at.rng.bytes(16),
        "tally": at.tally.seen,
        "worst": at.worst,
        "last": (type(at.last), at.last.tobytes()),
    }


def in_a_plain_loop():
    """Return the same without lowmem."""

    class Plain:
        km = MiniBatchKMeans(3, random_state=0, batch_size=8)
        pca, counts = IncrementalPCA(2), np.zeros(3, np.int64)
        rng, tally, worst, last = np.random.default_rng(1), Tally(), -math.inf, None

    for start in range(0, len(ROWS), STEP):
        learn(Plain, ROWS[start : start + STEP])
    return told(Plain)


@pytest.mark.parametrize("cycle_steps", [1, 3, 100])
def test_a_job_cut_after_every_commit_makes_the_bits_of_a_plain_loop(
    tmp_path, cycle_steps
):
    made, n_cut = [], 0
    while (
        drive(learning(made), tmp_path, cycle_steps=cycle_steps, leave_after=1) is None
    ):
        n_cut += 1
    # After each commit of seven points, and after the one that says that all is done.
    assert n_cut == 7 // cycle_steps + 1
    assert told(made[0]) == in_a_plain_loop()


def test_objects_are_looked_at_for_a_commit_alone_and_once_to_see_if_they_can_be_kept(
    tmp_path,
):
    made, cutter = [], Cutter()
    drive(learning(made), tmp_path, cycle_steps=3, overseer=cutter)
    n_commits = len(cutter.cycles) - 1  # The last says that the job is complete.
    assert n_commits == 2
    assert made[0].tally.asked == n_commits + 1


def keeping(body, name="keeping"):
    """Return a job of a generator function."""
    return lowmem.job(name=name)(body)


def by_name(**given):
    def body(ctx):
        ctx.restore(**given)
        for _ in ctx.blocks(ROWS, rows=STEP):
            yield ctx.commit(**given)

    return keeping(body)


def by_state(ctx):
    """Keep a number in the long form."""
    for n in range(ctx.state.get("n", 0), 9):
        yield lowmem.CommitPoint(items=1, state={"n": n + 1})


def without_restore(ctx):
    """Commit by name what was never asked for."""
    for n in range(9):
        yield ctx.commit(n=n)


def both(ctx):
    """Keep one thing by name and another in the long form."""
    (n,) = ctx.restore(n=0)
    yield ctx.commit(n=n)
    yield lowmem.CommitPoint(state={"m": 1})


def late(point):
    def body(ctx):
        """Offer a point before anything is asked for."""
        yield point(ctx)
        ctx.restore(n=0)

    return body


def twice(ctx):
    """Ask in two calls."""
    ctx.restore(n=0)
    ctx.restore(m=0)
    yield ctx.commit(n=0, m=0)


def other_names(ctx):
    """Commit other names than were asked for."""
    ctx.restore(km=0, pca=0)
    yield ctx.commit(km=0, pcas=0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (without_restore, ["did not call ctx.restore", "ctx.restore(n=...)"]),
        (both, ["calls ctx.restore and yields lowmem.CommitPoint", "ctx.commit(n=n)"]),
        (late(lambda _: lowmem.CommitPoint()), ["ctx.restore after its first point"]),
        (late(lambda ctx: ctx.commit()), ["ctx.restore after its first point"]),
        (twice, ["calls ctx.restore a second time"]),
        (other_names, ["names pcas anew and leaves out pca", "asked for: km, pca."]),
    ],
)
def test_a_job_that_keeps_its_state_in_no_one_way_is_refused_by_name(
    tmp_path, body, words
):
    # Not a point of it need be due: what may be committed anywhere is refused anyhow.
    with pytest.raises(JobDefinitionError) as caught:
        drive(keeping(body), tmp_path, cycle_steps=100)
    for word in ["job keeping", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", ["items", "flush", "is_due", "state", "arrays", "_n"])
def test_a_name_that_means_something_else_is_refused(tmp_path, name):
    with pytest.raises(JobDefinitionError, match=f"a value by the name '{name}'"):
        drive(by_name(**{name: 0}), tmp_path)


@pytest.mark.parametrize("name", ["state", "arrays"])
def test_the_words_of_the_long_form_are_no_values(tmp_path, name):
    def body(ctx):
        """Give what `CommitPoint` takes."""
        ctx.restore()
        yield ctx.commit(**{name: {"n": 1}})

    with pytest.raises(JobDefinitionError, match=f"a value by the name '{name}'"):
        drive(keeping(body), tmp_path)
    with pytest.raises(ValueError, match="without state= and arrays="):
        lowmem.CommitPoint(state={"n": 1}, values={"m": 1})


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, "leaves out b, expected the names .* holds: a, b"),
        ({"a": 1}, {"a": 1, "b": 2}, "names b anew, expected the names .* holds: a"),
    ],
)
def test_names_that_were_committed_and_those_asked_for_are_the_same_or_refused(
    tmp_path, first, then, words
):
    drive(by_name(**first), tmp_path, leave_after=2)
    with pytest.raises(JobDefinitionError, match=words):
        drive(by_name(**then), tmp_path)
    assert drive(by_name(**first), tmp_path) == {}


@pytest.mark.parametrize("is_at_its_end", [False, True])
def test_a_job_that_no_longer_asks_for_what_it_committed_does_not_begin_in_its_midst(
    tmp_path, is_at_its_end
):
    def body(ctx):
        """Go on by place alone."""
        for _ in ctx.blocks(ROWS, rows=STEP):
            if not is_at_its_end:
                yield lowmem.CommitPoint()

    drive(by_name(total=0.5), tmp_path, leave_after=2)
    with pytest.raises(JobDefinitionError, match=r"expected ctx.restore\(total=...\)"):
        drive(keeping(body), tmp_path, cycle_steps=100)


def test_a_commit_of_the_long_form_is_not_gone_on_from_by_name(tmp_path):
    drive(keeping(by_state), tmp_path, leave_after=2)
    with pytest.raises(JobDefinitionError, match="--restart begins anew"):
        drive(by_name(n=0), tmp_path)


def test_what_cannot_be_kept_is_told_at_the_first_point_though_none_is_due(tmp_path):
    with pytest.raises(UnkeptValueError, match=r"^make\['one'\] is a lambda"):
        drive(by_name(make={"one": lambda: 1}), tmp_path, cycle_steps=100)


def test_an_object_of_other_parameters_is_refused_and_says_what_to_do(tmp_path):
    drive(by_name(km=MiniBatchKMeans(3)), tmp_path, leave_after=1)
    with pytest.raises(OtherStateError, match=r"^km has n_clusters=4.*--restart\.$"):
        drive(by_name(km=MiniBatchKMeans(4)), tmp_path)


def test_a_job_without_values_needs_no_restore(tmp_path):
    def body(ctx):
        """List rows."""
        table = ctx.append("rows.txt")
        for block in ctx.blocks(ROWS, rows=STEP):
            table.write(f"{len(block)}\n")
            yield ctx.commit()
        return lowmem.Result(publish=["rows.txt"])

    while drive(keeping(body), tmp_path, leave_after=1) is None:
        pass
    assert (tmp_path / "rows.txt").read_text() == "20\n" * 6 + "10\n"


def test_what_trials_made_is_compared_by_name(tmp_path):
    def marks_of(rows):
        def body(ctx):
            """Sum rows by block, and count them."""
            at = ctx.restore(total=np.zeros(5, np.float32), n=0)
            for block in ctx.blocks(ROWS, rows=rows):
                at.total, at.n = at.total + block.sum(axis=0), at.n + len(block)
                yield ctx.commit(**vars(at))

        told = []
        drive(marked(keeping(body), (), told.append), tmp_path / str(rows))
        return {one.items: one.parts for one in told}

    one, other = marks_of(10), marks_of(130)
    assert list(other) == [130]
    assert set(one[130]) == {"total", "n"}
    assert [name for name in one[130] if one[130][name] != other[130][name]] == [
        "total"
    ]
