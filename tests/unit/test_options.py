from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lowmem.base.errors import OptionValueError, UnknownOptionError
from lowmem.pipeline.orders import given_options
from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.job import Result
from lowmem.protocol.job_decorator import job
from lowmem.protocol.option import Option
from lowmem.protocol.options import flag_of, resolve_options, value_of, words_of
from lowmem.protocol.planning import Rung
from lowmem.protocol.told_jobs import JobDescription

OPTIONS = (
    Option(name="epochs", kind="int", default=20, minimum=1),
    Option(name="learning_rate", kind="float", default=1e-3, minimum=0),
    Option(name="codec", kind="str", default="none", choices=("none", "lz4")),
    Option(name="batch_norm", kind="flag", default=True),
    Option(name="filters", kind="ints", default=[64, 128], minimum=1),
    Option(name="scales", kind="floats", default=[1.0, 0.5]),
    Option(name="names", kind="texts"),
    Option(name="data", kind="path"),
    Option(name="shift", kind="float", default=0.0),
)
BY_NAME = {option.name: option for option in OPTIONS}


def resolved(**given_values: object):
    return resolve_options("train", OPTIONS, given_values)


def test_what_is_not_given_has_its_default():
    assert resolved() == {o.name: o.default for o in OPTIONS}


@given(number=st.integers(1, 10**9))
def test_text_and_value_give_the_same(number):
    assert resolved(epochs=str(number)) == resolved(epochs=number)


@pytest.mark.parametrize(
    ("name", "given_value", "value"),
    [
        ("epochs", 3.0, 3),
        ("learning_rate", "1e-4", 1e-4),
        ("learning_rate", 1, 1.0),
        ("codec", "lz4", "lz4"),
        ("batch_norm", "no", False),
        ("batch_norm", "ON", True),
        ("batch_norm", 0, False),
        ("filters", "8,16", [8, 16]),
        ("filters", [8, 16], [8, 16]),
        ("shift", "-2.5", -2.5),
        ("scales", "1,0.25", [1.0, 0.25]),
        ("scales", (1, 0.25), [1.0, 0.25]),
        ("names", "a,b", ["a", "b"]),
        ("names", ["a"], ["a"]),
        ("data", None, None),
    ],
)
def test_values_of_every_kind(name, given_value, value):
    assert resolved(**{name: given_value})[name] == value


def test_a_path_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert resolved(data="a/b")["data"] == str(tmp_path / "a" / "b")
    assert resolved(data="~/x")["data"] == "/home/me/x"


@pytest.mark.parametrize(
    ("name", "given_value"),
    [
        ("epochs", "0"),
        ("epochs", -3),
        ("epochs", "2.5"),
        ("epochs", 2.5),
        ("epochs", True),
        ("epochs", "many"),
        ("epochs", ""),
        ("epochs", [1]),
        ("scales", "1,nan"),
        ("scales", []),
        ("names", "a,,b"),
        ("names", ["a,b"]),
        ("epochs", math.nan),
        ("epochs", math.inf),
        ("epochs", "9" * 5000),
        ("learning_rate", "nan"),
        ("learning_rate", math.nan),
        ("learning_rate", -1e-9),
        ("learning_rate", "fast"),
        ("shift", "nan"),
        ("shift", "inf"),
        ("shift", True),
        ("codec", "gzip"),
        ("codec", ""),
        ("batch_norm", "maybe"),
        ("batch_norm", 2),
        ("filters", ""),
        ("filters", []),
        ("filters", "8,,16"),
        ("filters", "8,0"),
        ("filters", [8, "x"]),
        ("filters", 8),
        ("data", 5),
        ("data", ""),
        ("data", "~nobody-of-this-name/x"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_value_outside_its_rule_is_refused_by_name(name, given_value):
    with pytest.raises(OptionValueError) as caught:
        resolved(**{name: given_value})
    assert flag_of(name) in str(caught.value)
    assert "expected" in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_unknown_option_is_refused_with_those_that_exist():
    with pytest.raises(
        UnknownOptionError, match=r"--epoch .*--epochs, --learning-rate"
    ):
        resolved(epoch=3)


@example(text="nan", option=BY_NAME["shift"])
@example(text="-inf", option=BY_NAME["learning_rate"])
@given(text=st.text(max_size=20), option=st.sampled_from(OPTIONS))
def test_any_text_gives_a_value_or_the_error_of_its_option(text, option):
    try:
        value = value_of(option, text)
    except OptionValueError:
        return
    if option.kind in {"int", "float"}:
        assert math.isfinite(value)
        assert option.minimum is None or value >= option.minimum
    if option.choices:
        assert value in option.choices


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Option(name="n", kind="integer"), "kind must be int or .*'integer'"),
        (lambda: Option(name="--n", kind="int"), "name must be .*'--n'"),
        (lambda: Option(name="n", kind="int", default="many"), "default must be"),
        (lambda: Option(name="n", kind="int", default=np.int64(1)), "default must"),
        (lambda: Option(name="n", kind="int", minimum="1"), "minimum must be a num"),
        (lambda: Option(name="n", kind="str", choices="ab"), "choices must be"),
        (lambda: Option(name="n", kind="str", choices=(1,)), "choices must be .*1"),
        (lambda: Option(name="n", kind="str", help=3), "help must be text"),
        (lambda: CommitPoint(items=0.5), "items must be a whole number, got 0.5"),
        (lambda: CommitPoint(items=-1), "items must be >= 0, got -1"),
        (lambda: CommitPoint(state=[1]), "state must be a mapping"),
        (lambda: CommitPoint(arrays=[1]), "arrays must be"),
        (lambda: CommitPoint(flush=True), "flush must be a function"),
        (lambda: Result(publish="out.npy"), "publish must be a list of names"),
        (lambda: Result(summary=[1]), "summary must be a mapping"),
        (lambda: Rung(ram_bytes=1e9), "ram_bytes must be a whole number"),
        (lambda: Rung(settings={"block": 0.5}), "settings must be"),
        (lambda: job(settings=[]), r"settings must be one or more .*got \[\]"),
        (lambda: job(settings={"block": 4}), "settings must be one or more .*4"),
        (lambda: job(settings=[{"block": 0.5}]), "settings must be one or more"),
        (lambda: job(unit=5)(lambda ctx: ctx), "name must be"),
        (lambda: job(name="n", unit=5)(lambda ctx: ctx), "unit must be text"),
        (lambda: job(name="n", options=["x"])(lambda ctx: ctx), "options must be"),
    ],
)
def test_a_wrong_value_in_a_job_is_told_where_it_is_given(make, words):
    with pytest.raises((ValueError, TypeError), match=words):
        make()


def test_items_may_be_numbers_of_numpy():
    assert CommitPoint(items=np.int64(3)).items == 3


@given(
    values=st.fixed_dictionaries(
        {
            "epochs": st.integers(1, 10**9),
            "learning_rate": st.floats(0, 1e300),
            "codec": st.sampled_from(["none", "lz4"]),
            "batch_norm": st.booleans(),
            "filters": st.lists(st.integers(1, 512), min_size=1),
            "data": st.none() | st.just("/some where/images.zarr"),
            "shift": st.floats(-1e300, 1e300),
        }
    )
)
def test_what_is_typed_for_a_checked_value_gives_that_value_again(values):
    described = JobDescription(
        name="train", summary="", unit="rows", options=OPTIONS, uses_device=False
    )
    line = [word for name, value in values.items() for word in words_of(name, value)]
    typed = given_options(line, (), [described]).values
    assert resolved(**typed) == resolved(**values)
