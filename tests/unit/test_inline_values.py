"""What crosses from a supervised function to its caller, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lowmem.base.errors_inline import ReturnValueError
from lowmem.base.frames import is_library
from lowmem.inline.values import decode, encode
from lowmem.inline.watcher_messages import (
    Breached,
    End,
    Ended,
    Follow,
    Pause,
    Ready,
    WatchChild,
    line_from_word,
    order_from_line,
    word_from_line,
)

PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
)
KEYS = st.text() | st.integers() | st.booleans()
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner)
    ),
    max_leaves=10,
)


@given(value=VALUES)
def test_a_plain_value_comes_back_equal_and_of_the_same_types(value, tmp_path_factory):
    back = decode(encode(value, tmp_path_factory.getbasetemp()), tmp_path_factory)
    assert repr(back) == repr(value)


@given(
    array=arrays.arrays(
        dtype=arrays.scalar_dtypes() | arrays.unicode_string_dtypes(),
        shape=arrays.array_shapes(min_dims=0, min_side=0),
    )
)
def test_an_array_comes_back_with_its_type_shape_and_every_bit(array, tmp_path_factory):
    folder = tmp_path_factory.mktemp("a", numbered=True)
    back = decode(encode([array, array[()]], folder), folder)
    assert type(back[0]) is np.ndarray
    assert (back[0].dtype, back[0].shape) == (array.dtype, array.shape)
    assert back[0].tobytes() == array.tobytes()
    assert type(back[1]) is type(array[()])


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1},
        np.array([None]),
        np.ma.masked_array([1]),
        type("Sub", (dict,), {})(),
        print,
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_with_its_place(value, tmp_path):
    with pytest.raises(ReturnValueError, match=r"the result\['k'\]\[1\] is"):
        encode({"k": (0, value)}, tmp_path)


@pytest.mark.parametrize(
    "word",
    [
        Ready(ram_bytes=1),
        Breached(verdict="ram_limit", ram_bytes=2, unmapped_bytes=1),
        Ended(peak_bytes=3, hwm_bytes=4),
    ],
)
def test_every_word_of_the_watcher_is_one_line_and_reads_back_the_same(word):
    line = line_from_word(word)
    assert line.count(b"\n") == 1
    assert word_from_line(line) == word


@pytest.mark.parametrize(
    "order",
    [
        Follow(most_bytes=1),
        Pause(),
        WatchChild(pid=2, stacks="/tmp/a folder\n/stacks"),
        End(),
    ],
)
def test_every_order_to_the_watcher_is_one_line_and_reads_back_the_same(order):
    line = line_from_word(order)
    assert line.count(b"\n") == 1
    assert order_from_line(line) == order


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/home/me/.local/lib/python3.11/site-packages/numpy/a.py", True),
        ("/usr/local/lib/python3.11/dist-packages/numpy/a.py", True),
        ("/usr/lib/python3/dist-packages/lowmem_jobs/train/work.py", False),
        ("/usr/lib/python3/dist-packages/lowmem/inline/guard.py", True),
        ("<frozen importlib._bootstrap>", True),
        ("<ipython-input-3-ab12>", False),
        ("/tmp/ipykernel_12/34.py", False),
    ],
)
def test_lines_of_cells_are_the_users_and_lines_of_any_environment_are_not(
    file, expected
):
    assert is_library(file) == expected
