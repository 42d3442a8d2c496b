from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lowmem.base.errors import QuantityError
from lowmem.base.units import (
    budget_bytes_from_size,
    bytes_from_size,
    format_budget,
    format_bytes,
    format_seconds,
    seconds_from_duration,
)
from lowmem.supervisor.order import format_size

UNITS = {
    "": 1,
    "B": 1,
    "K": 10**3,
    "MB": 10**6,
    "g": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "MiB": 2**20,
    " gib": 2**30,
    "TI": 2**40,
}


@given(number=st.integers(1, 8000), unit=st.sampled_from(sorted(UNITS)))
def test_a_size_is_its_number_times_its_unit(number, unit):
    assert bytes_from_size(f" {number}{unit} ") == number * UNITS[unit]


@given(n_bytes=st.integers(1, 2**53))
def test_a_printed_size_reads_back_at_least_as_large(n_bytes):
    assert 0 <= bytes_from_size(format_size(n_bytes)) - n_bytes < 10**7


@given(
    days=st.integers(0, 9),
    hours=st.integers(0, 99),
    minutes=st.integers(0, 99),
    seconds=st.integers(0, 99),
)
@example(days=0, hours=11, minutes=30, seconds=0)
def test_a_duration_is_the_sum_of_its_parts(days, hours, minutes, seconds):
    parts = zip((days, hours, minutes, seconds), "dhms", strict=True)
    text = "".join(f"{n}{unit}" for n, unit in parts if n)
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total:
        assert seconds_from_duration(text) == total
    else:
        with pytest.raises(QuantityError):
            seconds_from_duration(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "G",
        "-1G",
        "1.2.3",
        "nan",
        "inf",
        "1e9",
        "10 X",
        "0",
        "0.4",
        "9" * 30 + "T",
        "1G2",
        chr(0x661) + "G",
    ],
)
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(QuantityError, match="10GiB"):
        bytes_from_size(text)


@pytest.mark.parametrize(
    "text", ["", "90", "m", "-5m", "1.5h", "30m11h", "nan", "5 minutes", "0s", "0h0m"]
)
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(QuantityError, match="11h30m"):
        seconds_from_duration(text)


@given(n_bytes=st.integers(0, 2**50))
def test_printed_bytes_are_true_to_their_last_digit(n_bytes):
    number, unit = format_bytes(n_bytes).split()
    scale = {"MiB": 2**20, "GiB": 2**30}[unit]
    assert abs(float(number) * scale - n_bytes) <= 0.051 * scale


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.004, "0.00 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (86399, "23 h 59 min")],
)
def test_printed_seconds(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("text", "meant"), [("10", "10G or 10Gi"), ("1.5", "1.5G"), ("12700", "12700M")]
)
def test_a_budget_whose_unit_was_forgotten_is_refused_with_what_was_meant(text, meant):
    with pytest.raises(QuantityError, match=meant):
        budget_bytes_from_size(text)


def test_a_budget_in_bare_bytes_is_one_where_it_can_be_meant():
    assert budget_bytes_from_size("10000000") == 10**7
    assert budget_bytes_from_size("10KB") == 10**4


@given(st.integers(1, 10**6))
def test_a_budget_of_round_decimal_size_is_shown_as_it_was_typed_too(n_megabytes):
    text = format_budget(n_megabytes * 10**6)
    if n_megabytes * 10**6 % 2**20:
        typed = text.partition("(")[2].rstrip(")")
        assert bytes_from_size(typed) == n_megabytes * 10**6
        assert text.startswith(format_bytes(n_megabytes * 10**6))
    else:
        assert text == format_bytes(n_megabytes * 10**6)
