"""What comes back of a supervised call: tables the same, errors of their own class."""

from __future__ import annotations

import errno
import json
import os
from decimal import Decimal

import numpy as np
import pytest

import lowmem
from lowmem.base.errors_inline import ReturnValueError

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.alone]

supervised = lowmem.supervised(ram="600MiB")


class OddError(ValueError):
    """Made of more than a text, with an attribute of its own."""

    def __init__(self, code, *, place):
        super().__init__(code)
        self.code, self.place = code, place


class ShyError(Exception):
    """Is not made of one text."""

    def __new__(cls, one, two):
        return super().__new__(cls, one, two)


def outcome(raise_it):
    with pytest.raises(lowmem.FunctionError) as caught:
        supervised(raise_it)()
    return caught.value


def test_an_error_is_caught_as_what_the_function_raised():
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        supervised(lambda: 1 / 0)()
    error = outcome(lambda: {}[3])
    assert isinstance(error, KeyError)
    assert error.args == (3,)
    assert "KeyError: 3" in str(error)
    error = outcome(lambda: json.loads("[1,"))
    assert isinstance(error, json.JSONDecodeError)
    assert (error.kind, error.lineno, error.pos) == ("JSONDecodeError", 1, 3)
    error = outcome(lambda: os.open("/nowhere/at/all", os.O_RDONLY))
    assert isinstance(error, FileNotFoundError)
    assert (error.errno, error.filename) == (errno.ENOENT, "/nowhere/at/all")
    error = outcome(lambda: int.from_bytes(b"\xff".decode().encode()))
    assert isinstance(error, UnicodeDecodeError)
    assert "can't decode byte 0xff" in str(error)


def test_an_error_of_the_callers_own_class_keeps_what_it_holds():
    def fail():
        raise OddError(7, place="here")

    error = outcome(fail)
    assert isinstance(error, OddError)
    assert (error.code, error.place, error.args) == (7, "here", (7,))
    assert error.where.endswith("in fail")


def test_an_error_that_is_not_known_here_is_told_by_its_name():
    class LocalError(Exception):
        pass

    def fail(kind, *arguments):
        raise kind(*arguments)

    error = outcome(lambda: fail(LocalError, "a"))
    assert type(error) is lowmem.FunctionError
    assert (error.kind, str(error).splitlines()[0]) == ("LocalError", "LocalError: a")
    error = outcome(lambda: fail(ShyError, "a", "b"))
    assert isinstance(error, ShyError)
    assert error.args == ("a", "b")


def test_the_traceback_begins_with_the_functions_own_lines():
    def fail():
        return int("x")

    told = outcome(fail).traceback.splitlines()
    assert told[0] == "Traceback (most recent call last):"
    assert "in fail" in told[1]


def test_arguments_that_cannot_cross_leave_the_text():
    def fail():
        raise ValueError(np.arange(3), "and more")

    error = outcome(fail)
    assert isinstance(error, ValueError)
    assert "array([0, 1, 2])" in str(error)


def test_texts_and_numbers_that_json_has_no_form_for_are_told_all_the_same():
    error = outcome(lambda: open(os.fsdecode(b"/nowhere/\xff")))  # noqa: SIM115, PTH123 - it fails
    assert isinstance(error, FileNotFoundError)
    assert "nowhere" in str(error)

    def fail():
        raise ValueError(float("nan"), float("inf"))

    assert "nan, inf" in str(outcome(fail))
    error = outcome(lambda: compile("1 +", "here", "eval"))
    assert (type(error), error.kind) == (lowmem.FunctionError, "SyntaxError")


# --- tables -----------------------------------------------------------------------


def pandas_table():
    import pandas as pd

    times = pd.date_range("2026-01-01", periods=3, tz="Europe/Zurich")
    return pd.DataFrame(
        {
            "float": [1.5, np.nan, -0.0],
            "small": np.array([1, 2, 3], np.int8),
            "name": ["a", None, "\u00e9"],
            "kind": pd.Categorical(["x", "y", "x"]),
            "when": times,
        },
        index=pd.Index([3, 1, 2], name="key"),
    )


def test_a_table_of_pandas_comes_back_the_same():
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    back = supervised(pandas_table)()
    pd.testing.assert_frame_equal(back, pandas_table(), check_exact=True)
    assert np.signbit(back["float"].iloc[2])


def test_a_table_of_pandas_of_several_levels_comes_back_the_same():
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    levels = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["one", "two"])
    table = pd.DataFrame({"x": [1, 2]}, index=levels)
    back, other = supervised(lambda: [table, {"deep": table.iloc[:1]}])()
    pd.testing.assert_frame_equal(back, table)
    pd.testing.assert_frame_equal(other["deep"], table.iloc[:1])


def test_a_table_that_arrow_would_change_is_refused():
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for values in (
        [np.nan, None],
        [Decimal("1.0"), Decimal("1.25")],
        [1, "a"],
        [(1, 2), (3,)],
        [{1}, {2}],
    ):
        with pytest.raises(ReturnValueError, match="table of pandas that Arrow"):
            supervised(
                lambda held=values: pd.DataFrame({"x": pd.Series(held, dtype=object)})
            )()


def test_a_table_without_pyarrow_is_refused(monkeypatch):
    pytest.importorskip("pandas")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ReturnValueError, match="pyarrow is not installed"):
        supervised(pandas_table)()


def test_tables_of_polars_and_pyarrow_come_back_the_same():
    pl = pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    frame = pl.DataFrame(
        {"x": [1, None], "y": [[1.5], []]}, schema_overrides={"x": pl.Int8}
    )
    table = pa.table({"x": pa.array([1, 2], pa.uint16())}, metadata={"who": "me"})
    back, other = supervised(lambda: (frame, table))()
    assert back.schema == frame.schema
    assert back.equals(frame)
    assert other.equals(table, check_metadata=True)
