"""What a ladder is expected to need, from formula, trials and former runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.history.job_history import Ceiling, setting_key
from lowmem.memory.extrapolation import (
    DRIFT,
    JITTER_BYTES,
    Sample,
    fitted,
    predicted_bytes,
)
from lowmem.protocol.messages import Planned, PlannedRung
from lowmem.supervisor.forecast import (
    forecast,
    is_trial_due,
    smallest_budget_bytes,
    start_of,
)
from lowmem.supervisor.order import SUPERVISOR_BYTES

MB = 10**6


def rung(block: int, mb: int | None, source: str = "analytic") -> PlannedRung:
    return PlannedRung(
        settings={"block": block},
        ram_bytes=None if mb is None else mb * MB,
        vram_bytes=None,
        terms=(float(block),),
        source="unknown" if mb is None else source,  # type: ignore[arg-type]
    )


def ladder(*needs: int | None) -> Planned:
    blocks = [2**k for k in reversed(range(len(needs)))]
    return Planned(rungs=tuple(map(rung, blocks, needs)))


def sample(block: int, mb: int, *, floor: int = 0, is_whole: bool = True) -> Sample:
    return Sample(
        terms=(float(block),),
        floor_bytes=floor * MB,
        peak_bytes=mb * MB,
        is_whole=is_whole,
    )


def ceilings(**known: Ceiling):
    return {
        setting_key({"block": int(name.removeprefix("b"))}): ceiling
        for name, ceiling in known.items()
    }


numbers = st.integers(-1000, 1000)


@given(
    factors=st.lists(numbers, min_size=3, max_size=3),
    rows=st.lists(
        st.tuples(st.integers(1, 256), st.sampled_from([0, 1])),
        min_size=3,
        max_size=6,
        unique=True,
    ),
)
def test_what_is_linear_in_the_terms_is_found_to_the_byte_between_the_trials(
    factors, rows
):
    def truth(terms) -> int:
        return 10**6 + factors[0] + factors[1] * terms[0] + factors[2] * terms[1]

    samples = [
        Sample(terms=tuple(map(float, row)), floor_bytes=0, peak_bytes=truth(row))
        for row in rows
    ]
    found = fitted(samples)
    if len(found) < 3:
        # The trials cannot tell the terms apart: then a term is left out, not invented.
        firsts, seconds = {a for a, _ in rows}, {b for _, b in rows}
        on_a_line = len(firsts) == 1 or len(seconds) == 1 or len(rows) == 3
        assert on_a_line
        return
    for row in rows:
        expected = truth(row) * (1 + DRIFT) + JITTER_BYTES
        assert predicted_bytes(found, [float(n) for n in row], 0) == pytest.approx(
            expected, rel=1e-6
        )


def test_the_formula_is_kept_for_what_the_trials_did_not_vary():
    planned = Planned(rungs=(rung(64, 900), rung(8, 500)))
    # Both trials show 100 MB more than the formula says.
    samples = [sample(2, 320, floor=220), sample(4, 340, floor=240)]
    large, small = forecast(planned, samples)
    assert large.ram_bytes == pytest.approx(1000 * MB * (1 + DRIFT) + JITTER_BYTES)
    assert small.ram_bytes == pytest.approx(600 * MB * (1 + DRIFT) + JITTER_BYTES)
    assert large.source == small.source == "calibrated"


def test_a_trial_that_was_stopped_keeps_out_every_setting_that_is_as_large():
    samples = [sample(1, 100), sample(2, 800, is_whole=False)]
    needs = [one.ram_bytes for one in forecast(ladder(None, None, None), samples)]
    assert needs[0] >= 800 * MB
    assert needs[1] >= 800 * MB
    assert needs[2] < 150 * MB


def test_where_a_trial_was_stopped_no_setting_is_taken_to_need_less_than_its_formula():
    samples = [sample(1, 300, floor=500, is_whole=False)]
    large, small = forecast(ladder(900, 500), samples)
    assert (large.ram_bytes, small.ram_bytes) == (900 * MB, 500 * MB)


def test_a_run_that_ended_well_is_believed_before_trials_and_formula():
    planned = ladder(900, 500)
    held = Ceiling(held_bytes=700 * MB)
    first, second = forecast(planned, [sample(1, 600, floor=500)], ceilings(b2=held))
    assert (first.ram_bytes, first.source) == (
        700 * MB - SUPERVISOR_BYTES,
        "remembered",
    )
    assert second.source == "calibrated"


def test_the_end_of_a_run_that_began_with_other_settings_only_raises_a_prediction():
    partly = {"held_bytes": 700 * MB, "is_whole": False}
    known = ceilings(b2=Ceiling(**partly), b1=Ceiling(**partly))
    first, second = forecast(ladder(900, 500), (), known)
    assert (first.ram_bytes, first.source) == (900 * MB, "analytic")
    assert second.ram_bytes == 700 * MB - SUPERVISOR_BYTES


def test_a_stop_bounds_its_rung_and_every_larger_one_for_the_next_run():
    planned = ladder(300, 200, 100)
    known = ceilings(b2=Ceiling(stopped_bytes=1000 * MB))
    rungs = forecast(planned, (), known)
    assert start_of(rungs, forecast(planned), 1000 * MB) == 2
    # More room than at the stop: worth another try.
    assert start_of(rungs, forecast(planned), 1200 * MB) == 0


def test_a_stop_alone_refuses_nothing_since_its_cause_may_have_been_mended():
    planned = ladder(300, 200)
    known = ceilings(b1=Ceiling(stopped_bytes=1000 * MB))
    rungs = forecast(planned, (), known)
    assert start_of(rungs, forecast(planned), 900 * MB) == 1
    assert start_of(rungs, forecast(planned), 100 * MB) is None


@pytest.mark.parametrize(
    ("needs", "budget", "is_due"),
    [
        ((400, 300), 1000, False),  # room enough
        ((600, 520), 1000, True),  # the formula leaves a doubt
        ((990, 600), 1000, True),  # about the second
        ((2000, 1100), 1000, True),  # it may be wrong
        ((4000, 2000), 1000, False),  # not that wrong
        ((None,), 1000, True),
    ],
)
def test_a_run_measures_only_where_the_formula_leaves_a_doubt(needs, budget, is_due):
    assert is_trial_due(ladder(*needs).rungs, budget * MB) is is_due


def test_what_was_measured_before_is_not_measured_again():
    measured = (rung(2, 900, "calibrated"), rung(1, 500, "calibrated"))
    assert not is_trial_due(measured, 1000 * MB)


def test_the_smallest_budget_is_that_of_the_cheapest_rung_and_holds_it():
    rungs = ladder(900, 500).rungs
    smallest = smallest_budget_bytes(rungs)
    assert start_of(rungs, rungs, smallest) == 1
    assert start_of(rungs, rungs, smallest - 1) is None
    assert smallest_budget_bytes(ladder(900, None).rungs) is None
