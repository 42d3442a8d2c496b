# ruff: noqa: S311 - generators are what is tested
"""What a state may hold comes back equal to the bit, and all else is refused by its place."""

from __future__ import annotations

import random
import shutil
import struct
from collections import OrderedDict, namedtuple
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem import Checkpoint
from lowmem.base.errors_loop import (
    OtherStateError,
    UnkeptValueError,
    UnrestoredError,
)

Pair = namedtuple("Pair", ["count", "moments"])  # noqa: PYI024 - as optax has them


def back(folder, state, *given):
    with Checkpoint(folder) as checkpoint:
        checkpoint.commit(state)
        return checkpoint.restore(*given)


def bits(value):
    return struct.pack(">d", value)


FLOATS = st.floats(allow_nan=False) | st.just(-0.0)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


def told(value):
    """Return a value with its types, and floats as their bits."""
    if isinstance(value, float):
        return bits(value)
    if isinstance(value, list | tuple):
        return type(value), [told(one) for one in value]
    if isinstance(value, dict):
        return [(told(key), told(one)) for key, one in value.items()]
    return type(value), value


@pytest.mark.slow
@given(state=PLAIN)
def test_plain_values_come_back_with_their_types_and_order(tmp_path_factory, state):
    folder = tmp_path_factory.mktemp("c")
    text = repr(state)
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return
    assert told(back(folder, state)) == told(state)


@pytest.mark.parametrize("payload", [1, 2**50 + 7])
def test_a_float_that_json_has_not_keeps_its_bits(tmp_path, payload):
    (nan,) = struct.unpack(">d", struct.pack(">Q", (0xFFF << 52) | payload))
    state = {"nan": nan, "inf": float("-inf"), "c": complex(nan, -0.0)}
    found = back(tmp_path, state)
    assert bits(found["nan"]) == bits(nan)
    assert found["inf"] == float("-inf")
    assert [bits(found["c"].real), bits(found["c"].imag)] == [bits(nan), bits(-0.0)]


DTYPES = [
    np.dtype("q"),
    *("?", "<f2", ">f8", "<i8", ">u2", "c16", "S3", ">U2", "M8[us]", "m8[D]", "V5"),
    [("a", "<i4"), ("b", ">f8", (2,))],
    *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.int4),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (4, 3)])
def test_an_array_keeps_dtype_shape_and_bytes(tmp_path, dtype, shape):
    dtype = np.dtype(dtype)
    noise = np.random.default_rng(5).integers(0, 2, (*shape, dtype.itemsize), np.uint8)
    value = np.frombuffer(noise.tobytes(), dtype).reshape(shape)
    found = back(
        tmp_path,
        {"x": value, "t": value.T, "cut": value[..., ::2]} if shape else {"x": value},
    )
    for key, expected in {"x": value, "t": value.T}.items():
        if key in found:
            assert found[key].dtype == dtype
            assert found[key].shape == expected.shape
            assert found[key].tobytes() == expected.tobytes()
    if shape:
        assert found["cut"].tobytes() == value[..., ::2].tobytes()
        found["x"][...] = found["x"]  # It is the loop's own, to be written.


def test_scalars_of_numpy_stay_such(tmp_path):
    state = [
        np.float32(0.1),
        np.int8(-3),
        np.bool_(1),
        np.str_("x"),
        ml_dtypes.bfloat16(2),
    ]
    found = back(tmp_path, state)
    assert [type(one) for one in found] == [type(one) for one in state]
    assert found == state


def test_what_was_one_object_is_one_again(tmp_path):
    weights, log = np.zeros(3), []
    found = back(tmp_path, {"w": weights, "best": weights, "log": log, "same": [log]})
    found["w"] += 1
    assert found["best"].tolist() == [1, 1, 1]
    assert found["same"][0] is found["log"]


def test_an_ordered_dictionary_stays_one(tmp_path):
    found = back(tmp_path, OrderedDict(b=1, a=2))
    assert type(found) is OrderedDict
    assert list(found) == ["b", "a"]


def test_a_named_tuple_is_made_of_the_type_of_the_given_one(tmp_path):
    found = back(tmp_path, [Pair(3, {"m": np.ones(2)})], [Pair(0, {"m": None})])
    assert type(found[0]) is Pair
    assert found[0].count == 3
    assert found[0].moments["m"].tolist() == [1, 1]
    with Checkpoint(tmp_path) as checkpoint:
        with pytest.raises(OtherStateError, match=r"state\[0\] is nothing in what"):
            checkpoint.restore()
        with pytest.raises(OtherStateError, match=r"state\[0\] is a tuple in what"):
            checkpoint.restore([(0, {})])


BITS = ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"]


@pytest.mark.parametrize("name", BITS)
@pytest.mark.parametrize("is_given", [True, False])
def test_a_generator_draws_and_spawns_what_it_would_have(tmp_path, name, is_given):
    cls = getattr(np.random, name)
    rng = np.random.Generator(cls(11))
    rng.spawn(2)
    rng.integers(0, 9, 3, np.int8)  # Leaves half of a word to be drawn.
    other = np.random.Generator(cls(11))
    found = back(tmp_path, {"r": rng}, *([{"r": other}] if is_given else []))["r"]
    assert (found is other) is is_given
    for draw in (
        lambda one: one.integers(0, 9, 5, np.int8).tolist(),
        lambda one: one.normal(size=3).tolist(),
        lambda one: one.spawn(1)[0].random(),
    ):
        assert draw(found) == draw(rng)


def test_a_generator_made_without_a_seed_spawns_what_it_would_have(tmp_path):
    rng = np.random.default_rng()
    if np.__version__ < "2":
        # It cannot give a generator another seed.
        with pytest.raises(OtherStateError, match="was made from another seed"):
            back(tmp_path, [rng], [np.random.default_rng()])
        return
    found = back(tmp_path, [rng], [np.random.default_rng()])[0]
    assert found.spawn(1)[0].random() == rng.spawn(1)[0].random()


def test_another_kind_of_generator_is_refused(tmp_path):
    given = [np.random.Generator(np.random.Philox(1))]
    with pytest.raises(OtherStateError, match=r"draws from a Philox, expected a PCG64"):
        back(tmp_path, [np.random.default_rng(1)], given)


@pytest.mark.parametrize("is_given", [True, False])
def test_generators_of_the_older_kinds_go_on(tmp_path, is_given):
    legacy, python = np.random.RandomState(3), random.Random(4)
    legacy.normal()  # The second of a pair is kept for the next call.
    python.gauss(0, 1)
    others = [np.random.RandomState(0), random.Random(0)]
    found = back(tmp_path, [legacy, python], *([others] if is_given else []))
    assert all(a is b for a, b in zip(found, others, strict=True)) is is_given
    assert found[0].normal(size=3).tolist() == legacy.normal(size=3).tolist()
    assert [found[1].gauss(0, 1) for _ in "ab"] == [python.gauss(0, 1) for _ in "ab"]


def test_the_global_generators_are_set(tmp_path):
    former = random.getstate(), np.random.get_state()
    try:
        state = {"python": random, "numpy": np.random}
        with Checkpoint(tmp_path) as checkpoint:
            checkpoint.commit(state)
            drawn = random.random(), np.random.rand()
            assert checkpoint.restore(state) == state
            assert (random.random(), np.random.rand()) == drawn
    finally:
        random.setstate(former[0])
        np.random.set_state(former[1])


class Scaler:
    """As many libraries have it."""

    def __init__(self, scale):
        self.scale = scale

    def get_state(self):
        return {"scale": np.float64(self.scale)}

    def set_state(self, state):
        self.scale = state["scale"]


def test_an_object_that_takes_its_state_is_filled(tmp_path):
    given = {"deep": [Scaler(0)], "n": 5}
    found = back(tmp_path, {"deep": [Scaler(0.1)], "n": 6}, given)
    assert found["deep"][0] is given["deep"][0]
    assert given["deep"][0].scale == 0.1
    assert found["n"] == 6


def circle():
    found = []
    found.append(found)
    return found


RECORDS = "is an array of dtype (numpy.record, "
REFUSED = {
    "a lambda": (lambda: 0, "is a lambda"),
    "a function": (back, "is a function"),
    "a class": (Scaler, "is a type"),
    "a set": ({1}, "is a set"),
    "an object": (object(), "is an object"),
    "objects": (np.array([None]), "is an array of dtype object"),
    "a mask": (np.ma.masked_array([1], [True]), "is a numpy.ma.MaskedArray"),
    "half a letter": ("\ud800", "is a str"),
    "a key": ({(1, 2): 3}, "has a key that is a tuple"),
    "a circle": (circle(), "[0] holds itself"),
    "fields in another order": (
        np.zeros(2, {"names": "ab", "formats": ["i4", "i4"], "offsets": [4, 0]}),
        "is an array of dtype {",
    ),
    "fields that overlap": (
        np.zeros(2, {"names": "ab", "formats": ["i4", "i2"], "offsets": [0, 0]}),
        "is an array of dtype {",
    ),
    "records": (np.zeros(2, [("a", int)]).view(np.recarray).view(np.ndarray), RECORDS),
    "a zero at the end": (np.str_("x\0"), "is a numpy.str_"),
    "zeros at the end": (np.bytes_(b"a\0\0"), "is a numpy.bytes_"),
    "system's": (random.SystemRandom(), "is a random.SystemRandom"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_kept_is_refused_by_its_place_before_anything_is_written(
    tmp_path, name
):
    value, problem = REFUSED[name]
    with Checkpoint(tmp_path) as checkpoint:
        with pytest.raises(UnkeptValueError) as caught:
            checkpoint.commit({"ok": np.ones(3), "model": [{"x": value}]})
        place = "state['model'][0]['x']"
        text = str(caught.value).replace("numpy.ma.core", "numpy.ma")
        assert text.startswith(place + ("" if problem[0] == "[" else " ") + problem)
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.lock"]


BASE = np.arange(24.0).reshape(4, 6)
FIXED = np.broadcast_to(1.0, 3)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (BASE, BASE[:1]),
        (BASE[2], BASE),
        (BASE[1:3], BASE[2:]),
        (BASE[:, ::2], BASE[:, ::3]),
        (BASE[::-1], BASE.view("V8")[0]),
    ],
    ids=["a part", "the whole later", "some rows", "a column", "backwards"],
)
def test_arrays_that_share_memory_are_refused_with_both_places(tmp_path, one, two):
    with pytest.raises(
        UnkeptValueError, match=r"^state\[1\]\['b'\] shares memory with state\[0\],"
    ):
        back(tmp_path, [one, {"b": two}])
    assert list(tmp_path.glob("gen-*")) == []


@pytest.mark.parametrize(
    "state",
    [
        list(BASE),
        list(BASE.T),
        [BASE[::-1, ::2], BASE[:, 1::2]],
        [BASE, BASE.copy(), BASE[:0], BASE],
        [FIXED, FIXED[1:]],
    ],
    ids=["rows", "columns", "interleaved", "copies", "read alone"],
)
def test_arrays_that_share_no_byte_that_can_be_written_are_kept(tmp_path, state):
    found = back(tmp_path, state)
    for one, expected in zip(found, state, strict=True):
        np.testing.assert_array_equal(one, expected)


def test_what_is_nested_too_deeply_is_refused(tmp_path):
    deep = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(UnkeptValueError, match="is nested deeper than Python can"):
        back(tmp_path, deep)
    assert list(tmp_path.glob("gen-*")) == []


MISFITS = {
    "an entry more": ({"n": 1}, {"n": 0, "m": 0}, r"state\['m'\] is not in the commit"),
    "an object more": (
        {"d": {}, "n": [1]},
        {"d": {}, "n": [1, Scaler(1)]},
        r"state\['n'\]\[1\] is not in the commit",
    ),
    "a value for an object": (
        {"x": 3},
        {"x": Scaler(1)},
        r"state\['x'\] is a value of kind 'plain' in the commit, expected the state of a",
    ),
    "an object of another class": (
        {"x": Scaler(1)},
        {"x": 3},
        r"state\['x'\] is a builtins.int, expected a .*Scaler, as was committed",
    ),
    "one for two": (
        {"a": random.Random(1), "b": random.Random(2)},
        dict.fromkeys("ab", random.Random(3)),
        r"state\['b'\] is the object state\['a'\] too, expected two objects",
    ),
    "one for two within": (
        [Scaler(1), {"x": Scaler(2)}],
        [one := Scaler(0), {"x": one}],
        r"state\[1\]\['x'\] is the object state\[0\] too, expected two objects",
    ),
    "two for one": (
        dict.fromkeys("ab", Scaler(1)),
        {"a": Scaler(1), "b": Scaler(1)},
        r"state\['b'\] is the object state\['a'\] in the commit",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_commit_that_does_not_fit_what_is_given_is_refused(tmp_path, name):
    state, given, problem = MISFITS[name]
    with pytest.raises(OtherStateError, match=problem):
        back(tmp_path, state, given)


def test_an_object_cannot_be_made_from_a_commit_alone(tmp_path):
    with pytest.raises(
        OtherStateError, match=r"expected such an object at state\['x'\]"
    ):
        back(tmp_path, {"x": Scaler(1)})


def test_values_may_shrink_and_grow(tmp_path):
    given = {"left": list(range(9)), "seen": {}, "by": {"a": 1, "b": 2}}
    state = {"left": [8], "seen": {"x": 1}, "by": {"a": 1}, "more": 3}
    assert back(tmp_path, state, given) == state


SAMPLE = Path(__file__).parents[1] / "samples" / "checkpoint-1"


def test_a_commit_of_the_first_version_is_read_for_ever(tmp_path):
    folder = tmp_path / "ckpt"
    shutil.copytree(SAMPLE, folder)
    with Checkpoint(folder) as checkpoint:
        found = checkpoint.restore()
    rng, python = np.random.default_rng(1), random.Random(2)
    rng.spawn(1)
    python.gauss(0, 1)
    assert found["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["same"] is found["w"]
    assert found["half"].dtype == ml_dtypes.bfloat16
    assert found["half"].tolist() == [1, 1, 1]
    assert found["rng"].random() == rng.random()
    assert found["rng"].spawn(1)[0].random() == rng.spawn(1)[0].random()
    assert found["old"].random() == np.random.RandomState(3).random()
    assert found["python"].gauss(0, 1) == python.gauss(0, 1)
    plain = [1, 2.5, None, True, "text", b"bytes", 2**70, float("-inf"), (1j,)]
    assert found["plain"] == plain
    assert found[1] == OrderedDict(a=np.float32(0.5))


def test_one_entry_of_the_newest_commit_is_read_alone(tmp_path):
    with Checkpoint(tmp_path / "ckpt") as checkpoint:
        assert checkpoint.entry("step") is None
        for step in range(2):
            kept = {"step": step, "w": np.arange(3.0) * step, "rng": random.Random(1)}
            checkpoint.commit(kept)
        assert checkpoint.entry("step") == 1
        assert checkpoint.entry("w").tolist() == [0.0, 1.0, 2.0]
        with pytest.raises(KeyError, match="nothing"):
            checkpoint.entry("nothing")
    # It restores nothing: what is there may not be replaced unseen.
    with Checkpoint(tmp_path / "ckpt") as checkpoint:
        assert checkpoint.entry("step") == 1
        with pytest.raises(UnrestoredError):
            checkpoint.commit({"step": 9})
