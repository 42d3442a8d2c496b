"""Whatever happens, all that asks the journal hears the same, and it is true."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lowmem.checkpoints.manifest import Manifest
from lowmem.history.fold import history_of, history_of_job
from lowmem.history.job_history import Detail, setting_key
from lowmem.history.provenance import makers_of, owned, owners_of
from lowmem.mirror.precedence import told_by
from lowmem.protocol.records import AttemptBegun, CycleEnded, RunBegun
from lowmem.repair.journal_lines import JournalLines
from lowmem.repair.journal_plan import repaired_journal
from lowmem.report.status import statuses
from lowmem.report.view import report_from_records
from lowmem.supervisor.known_peaks import ceilings_of
from tests.history_stories import JOBS, PUBLISHED, Story, cycle_of, stories


@given(story=stories)
def test_what_is_committed_is_what_the_disk_holds_once_a_worker_has_begun(story):
    story.settle()
    past = history_of(story.records)
    report = report_from_records("/w", story.records, is_live=False)
    for job, life in story.lives.items():
        own, told = past.of(job), report.jobs[job]
        assert own.committed == tuple(range(len(life.disk)))
        assert own.missing_cycles == ()
        assert {i: c.items for i, c in own.cycles.items()} == dict(enumerate(life.disk))
        assert history_of_job(job, story.records).last_cycle == len(life.disk) - 1
        assert [cycle.items for cycle in told.committed] == life.disk
        assert statuses(report)[job].items == sum(life.disk)


@given(story=stories)
def test_all_views_agree_at_every_moment(story):
    past = history_of(story.records)
    brief = history_of(story.records, is_brief=True)
    report = report_from_records("/w", story.records, is_live=False)
    assert brief.done == past.done
    for job, own in past.jobs.items():
        assert brief.of(job) == replace(own, detail=Detail())
        alone = history_of_job(job, story.records)
        assert replace(alone, place=own.place) == brief.of(job)
        told = report.jobs[job]
        life = story.lives[job]
        assert own.committed == tuple(range(life.told))
        assert [cycle.index for cycle in told.committed] == list(own.committed)
        assert (told.state == "done") == own.is_done
        assert (statuses(report)[job].next_command is None) == own.is_done
        assert told.published == own.published
        assert told.attempts == own.n_workers == own.last_attempt == life.n_workers
        assert told.ram_peak_bytes == life.peak
        assert own.run_peak_bytes == story.run_peaks.get(job)
        assert [note.text for note in told.notes] == life.notes
        assert own.recipe == {"number": life.recipe}
        assert own.durable == (told.durable or 0) == life.durable


@given(story=stories)
def test_every_run_is_a_sitting_and_is_counted_once(story):
    history = history_of(story.records, has_sittings=True)
    brief = history_of(story.records, is_brief=True, has_sittings=True)
    assert brief.sittings == history.sittings
    assert history_of(story.records).sittings == ()
    runs = [record for record in story.records if isinstance(record, RunBegun)]
    begun = [one.begun for one in history.sittings if one.begun is not None]
    assert sorted(map(id, begun)) == sorted(map(id, runs))
    # A worker that makes results again is nobody's run: a sitting of its own.
    others = [one.first for one in history.sittings if one.begun is None]
    assert all(isinstance(first, AttemptBegun) for first in others)
    for job in history.jobs:
        assert (
            sum(one.first.job == job and not one.is_over for one in history.sittings)
            <= 1
        )
    usage = report_from_records("/w", story.records, is_live=False).usage
    assert usage.total.n_sittings == len(history.sittings)


@given(story=stories)
def test_results_belong_to_the_life_that_published_them_last(story):
    past = history_of(story.records)
    owners = owners_of(past)
    assert owners == story.owners
    done = [(run.job, run.begun.recipe["number"]) for run in past.done]
    assert done == story.makers
    assert set(told_by(story.records).results) == set(owners)
    for name in owners:
        added = [m for m in story.makers if name in PUBLISHED[m[0]]]
        while len(added) > 1 and added[1][0] != "append":
            added.pop(0)
        last = max(i for i, m in enumerate(added) if m[0] != "append" or i == 0)
        made = makers_of(name, past, lambda run: run.job == "append")
        assert [(m.job, m.begun.recipe["number"]) for m in made] == added[last:]
    for job in JOBS:
        names = PUBLISHED[job]
        mine = [name for name in names if owners.get(name, job) == job]
        assert owned(names, job, owners) == mine


@given(story=stories)
def test_the_largest_budget_at_which_a_setting_was_stopped_is_remembered(story):
    for job, showed in story.showed.items():
        found = ceilings_of(job, "k", "cpu", story.records)
        for block, (_, worst) in showed.items():
            ceiling = found[setting_key({"block": block})]
            assert ceiling.held_bytes or ceiling.stopped_bytes == worst


@given(story=stories, data=st.data())
def test_a_lost_line_of_a_commit_whose_checkpoint_is_there_is_put_where_it_counts(
    story, data
):
    story.settle()
    past = history_of(story.records)
    lines = [
        (place, record.job, record.cycle.index)
        for place, record in enumerate(story.records)
        if isinstance(record, CycleEnded)
        and record.outcome == "committed"
        and not past.of(record.job).is_done
        and record.cycle.index in past.of(record.job).committed[-2:]
        and any(ran.record is record for ran in past.of(record.job).detail.cycles)
    ]
    if not lines:
        return
    place, job, _ = data.draw(st.sampled_from(lines))
    left = [record for n, record in enumerate(story.records) if n != place]
    lines = JournalLines(records=tuple(left))
    repaired = repaired_journal(lines, {job: _manifests(story, job)}, published=())
    again = history_of(repaired.records)
    assert again.of(job).committed == past.of(job).committed
    assert _items(again, job) == _items(past, job)
    assert again.done == past.done


def _manifests(story: Story, job: str) -> list[Manifest]:
    life = story.lives[job]
    newest = list(enumerate(life.disk))[-2:]
    return [
        Manifest(
            generation=index,
            recipe={"number": life.recipe},
            cycle=cycle_of(index, items),
        )
        for index, items in newest
    ]


def _items(past, job):
    return {index: cycle.items for index, cycle in past.of(job).cycles.items()}
