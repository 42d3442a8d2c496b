"""`encode --encoder`: vectors of any rows by any encoder, as that encoder gives them."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from lowmem.base.errors import (
    DataError,
    JobDefinitionError,
    ModelError,
    OptionValueError,
    UsageError,
)
from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem.stores.row_writer import RowWriter
from lowmem_jobs.encode import job as encode_job
from lowmem_jobs.encode import work as encode_work
from lowmem_jobs.encode.encoder_choice import encoder_choice
from lowmem_jobs.encode.job import JOB
from lowmem_jobs.encode.number_types import held_numbers
from lowmem_jobs.encode.onnx_encoder import onnx_function
from tests.analyzing import analyze
from tests.driver import Cutter, drive
from tests.sharding import files_of, merge, shard

N_ROWS = 300
VALUES = np.random.default_rng(5).standard_normal((N_ROWS, 7)).astype(np.float32)
MATRIX = np.random.default_rng(6).standard_normal((7, 3)).astype(np.float32)

CODE = """
import numpy as np

MATRIX = np.random.default_rng(6).standard_normal((7, 3)).astype(np.float32)
BUILT = []


def product(rows):
    return rows @ MATRIX


def same(rows):
    return rows


class Letters:
    "How often each letter of an alphabet occurs, and the length of the line."

    def __init__(self, weights=None):
        BUILT.append(weights)
        self.letters = weights.read_text() if weights else "abc"

    def __call__(self, lines):
        assert type(lines) is list
        rows = [[*map(line.count, self.letters), len(line)] for line in lines]
        return np.array(rows, np.float64)


def letters():
    return Letters()


def of_file(weights):
    return Letters(weights)


def text():
    return "no function"


def one_row_more(rows):
    return np.zeros((len(rows) + 1, 3))


def matrices(rows):
    return np.zeros((len(rows), 3, 3))


def flat(rows):
    return np.zeros(len(rows))


def whole(rows):
    return np.zeros((len(rows), 3), int)


def a_list(rows):
    return [[0.0]] * len(rows)


def centred(rows):
    return rows - rows.mean(axis=0)


def drawn(rows):
    return np.random.default_rng().standard_normal((len(rows), 3))


def later_double(rows):
    is_late = len(rows) == 12
    return rows.astype(np.float64 if is_late else np.float32)


def not_a_number(rows):
    return np.where(rows > 2.5, np.nan, rows)


def too_large(rows):
    return rows.astype(np.float64) * 1e300
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with rows and code, typed in; latents in small blocks."""
    monkeypatch.setattr(encode_work, "BLOCK_ROWS", 48)
    monkeypatch.setattr(encode_job, "BLOCK_ROWS", 48)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(CODE)
    np.save("rows.npy", VALUES)
    return tmp_path


def write_rows(store, name, rows):
    writer = RowWriter.open(
        store, name, row_shape=rows.shape[1:], dtype=rows.dtype, chunk_rows=19
    )
    for start in range(0, len(rows), 19):
        writer.append(rows[start : start + 19])
    writer.flush()


def latents(space):
    array = zarr.open_array(space / "latents.zarr" / "z", mode="r")
    assert array.dtype == np.float32
    return np.asarray(array[:])


def encode(space, encoder, source="rows.npy", **given):
    options = {"encoder": encoder, "source": str(source), **given}
    assert drive(JOB, space, options, cycle_steps=99)
    return latents(space)


def context(space, *, typed=None, **given):
    return PlanContext(
        workspace=Workspace.at(space),
        options=resolve_options("encode", JOB.options, given),
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
        typed=tuple(given) if typed is None else typed,
    )


# --- functions --------------------------------------------------------------------


def test_a_function_gives_each_row_its_vector_of_any_store_of_rows(tmp_path):
    write_rows(tmp_path / "rows.zarr", "rows", VALUES)
    expected = VALUES.astype(np.float64) @ MATRIX
    for source in ("rows.npy", "rows.zarr"):
        found = encode(tmp_path / source[-3:], "own.py:product", source)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # What is given may be returned: its memory is used again for the next rows.
    np.testing.assert_array_equal(
        encode(tmp_path / "same", "own.py:same", "rows.zarr"), VALUES
    )


def test_images_are_given_as_the_bytes_that_they_are(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (60, 4, 5, 3), np.uint8)
    write_rows(tmp_path / "w" / "images.zarr", "images", images)
    code = "def top(rows):\n    return rows[:, 0, :, 1].astype('f4')\n"
    (tmp_path / "pictures.py").write_text(code)
    assert drive(JOB, tmp_path / "w", {"encoder": "pictures:top"})
    np.testing.assert_array_equal(latents(tmp_path / "w"), images[:, 0, :, 1])


def test_cuts_settings_and_shards_change_no_bit(tmp_path):
    given = {"encoder": "own.py:product", "source": "rows.npy", "batch_size": 20}
    drive(JOB, tmp_path / "whole", given)
    for read_rows in (48, 20, 1):
        drive(
            JOB,
            tmp_path / "cut",
            given,
            settings={"read_rows": read_rows},
            leave_after=2,
        )
    drive(JOB, tmp_path / "cut", given, settings={"read_rows": 7})
    for index in (2, 0, 1):
        shard(JOB, tmp_path / "shared", index, 3, options=given)
    merge(JOB, tmp_path / "shared", options=given)
    expected = files_of(tmp_path / "whole" / "latents.zarr")
    assert len(expected) > 5
    for other in ("cut", "shared"):
        assert files_of(tmp_path / other / "latents.zarr") == expected


def test_what_rounds_otherwise_in_other_batches_is_said(tmp_path):
    code = (
        "import numpy as np\n"
        "def scaled(rows):\n"
        "    return rows * np.float32(1 + 1e-6 * (len(rows) == 32))\n"
    )
    (tmp_path / "rounding.py").write_text(code)
    overseer = Cutter()
    given = {"encoder": "rounding.py:scaled", "source": "rows.npy"}
    drive(JOB, tmp_path / "w", given, overseer=overseer)
    (note,) = overseer.notes
    assert "always 32" in note


@pytest.mark.parametrize("encoder", ["rounding.py:scaled", "m.onnx"])
def test_batches_beyond_a_block_are_cut_with_it_and_go_on_where_they_were(
    tmp_path, encoder
):
    code = (
        "import numpy as np\n"
        "def scaled(rows):\n"
        "    assert len(rows) <= 48\n"
        "    return rows * np.float32(1 + 1e-6 * (len(rows) == 48))\n"
    )
    (tmp_path / "rounding.py").write_text(code)
    if encoder == "m.onnx":
        write_onnx(tmp_path / "m.onnx", rows=70)
    given = {"encoder": encoder, "source": "rows.npy", "batch_size": 70}
    overseer = Cutter(leave_after=2)
    assert drive(JOB, tmp_path / "w", given, overseer=overseer) is None
    assert drive(JOB, tmp_path / "w", given)
    if encoder == "m.onnx":
        expected = VALUES.astype(np.float64) @ MATRIX
        np.testing.assert_allclose(latents(tmp_path / "w"), expected, 1e-4, 1e-5)
        return
    (note,) = overseer.notes
    assert "always 48" in note
    scale = np.full((N_ROWS, 1), 1 + 1e-6, np.float32)
    scale[N_ROWS // 48 * 48 :] = 1
    np.testing.assert_array_equal(latents(tmp_path / "w"), VALUES * scale)


def test_another_function_does_not_go_on_with_what_is_committed(tmp_path):
    given = {"encoder": "own.py:product", "source": "rows.npy"}
    drive(JOB, tmp_path / "w", given, leave_after=2)
    (tmp_path / "own.py").write_text(CODE.replace("rows @ MATRIX", "rows @ -MATRIX"))
    with pytest.raises(JobDefinitionError, match=r"row 0, of which .* was committed"):
        drive(JOB, tmp_path / "w", given)


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("one_row_more", JobDefinitionError, r"\(33, 3\) for rows 0 to 31.*each of"),
        ("matrices", JobDefinitionError, r"shape \(32, 3, 3\).*shape \(n, d\)"),
        ("flat", JobDefinitionError, r"shape \(32,\).*shape \(n, d\)"),
        ("whole", JobDefinitionError, r"int64.*a vector of floats"),
        ("a_list", JobDefinitionError, r"returned list.*a NumPy array"),
        ("centred", JobDefinitionError, "each row by itself"),
        ("drawn", JobDefinitionError, "the same each time"),
        ("later_double", JobDefinitionError, r"float64 for rows 288 to 299.*float32"),
        ("not_a_number", DataError, r"sample \d+ is not finite"),
        ("too_large", DataError, r"sample 0 is not finite.*float32 can hold"),
        ("text", ModelError, "builds a str"),
        ("of_file", OptionValueError, "--weights is None.*needs them"),
        ("absent", OptionValueError, "no such name"),
    ],
)
def test_what_gives_no_vector_for_each_row_is_refused(tmp_path, name, error, told):
    with pytest.raises(error, match=told):
        encode(tmp_path / "w", f"own.py:{name}")
    assert not (tmp_path / "w" / "latents.zarr").exists()


# --- lines of text ----------------------------------------------------------------


def test_lines_of_text_are_rows_and_a_class_is_built_once(tmp_path):
    lines = ["", "abba", "caca\t", "", "Grüße a"] + ["b" * n for n in range(2000)]
    content = "\ufeff" + "\r\n".join(lines[:5]) + "\r\n" + "\n".join(lines[5:])
    (tmp_path / "lines.txt").write_bytes(content.encode())
    expected = [[*map(line.count, "abc"), len(line)] for line in lines]
    for name in ("Letters", "letters"):
        found = encode(tmp_path / name, f"own.py:{name}", "lines.txt")
        np.testing.assert_array_equal(found, expected)
        import own

        assert own.BUILT == [None]
    (tmp_path / "alphabet").write_text("ü")
    given = {"weights": str(tmp_path / "alphabet")}
    found = encode(tmp_path / "w", "own.py:of_file", "lines.txt", **given)
    np.testing.assert_array_equal(found[:, 0], [line.count("ü") for line in lines])
    # What `analyze` measures is what was written.
    result, summary = analyze(tmp_path / "Letters", {})
    assert summary["n_rows"] == len(lines)
    np.testing.assert_allclose(result["mean"][:], np.mean(expected, axis=0))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a\n\xff\n", r"line 2 of .* is not UTF-8"),
        (b"", "is empty"),
        (b"a\n" + b"b" * (2**24 + 1), "line 2 of .* is longer"),
    ],
)
def test_a_file_that_holds_no_lines_of_text_is_refused_by_line(tmp_path, content, told):
    (tmp_path / "lines.txt").write_bytes(content)
    with pytest.raises(DataError, match=told):
        encode(tmp_path / "w", "own.py:Letters", "lines.txt")


# --- model files ------------------------------------------------------------------


def write_onnx(path, *, dtype="FLOAT", rows=None, outputs=("z",), where=None):
    """Write a model of one product of matrices, its outputs alike but for their sign."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    taken = helper.make_tensor_value_info(
        "x", getattr(onnx.TensorProto, dtype), [rows, 7]
    )
    given = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [rows, 3])
        for name in outputs
    ]
    signs = [MATRIX, -MATRIX]
    weights = [
        numpy_helper.from_array(one, f"w{n}")
        for n, one in enumerate(signs[: len(outputs)])
    ]
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=onnx.TensorProto.FLOAT)]
    nodes += [
        helper.make_node("MatMul", ["f", f"w{n}"], [name])
        for n, name in enumerate(outputs)
    ]
    graph = helper.make_graph(nodes, "product", [taken], given, weights)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    if where:
        onnx.save(
            model, path, save_as_external_data=True, location=where, size_threshold=0
        )
    else:
        onnx.save(model, path)


def test_an_onnx_model_gives_what_its_operators_say(tmp_path):
    expected = VALUES.astype(np.float64) @ MATRIX
    write_onnx(tmp_path / "one.onnx")
    found = encode(tmp_path / "w", "one.onnx")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # Of a batch of 32 rows alone, too: the last rows are filled up.
    write_onnx(tmp_path / "two.onnx", rows=32, outputs=("z", "minus"))
    found = encode(tmp_path / "w2", "two.onnx:minus")
    np.testing.assert_allclose(found, -expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("how", "encoder", "told"),
    [
        ({"outputs": ("z", "y")}, "m.onnx", r"FILE\.onnx:OUTPUT.*one of z, y"),
        ({}, "m.onnx:y", r"FILE\.onnx:OUTPUT.*one of z"),
        ({"rows": 5}, "m.onnx", "--batch-size is 32, expected 5"),
        ({"dtype": "INT32"}, "m.onnx", "takes int32, expected float32"),
        ({"where": "m.bin"}, "m.onnx", r"takes w0 from another file, m\.bin"),
    ],
)
def test_an_onnx_model_that_cannot_serve_is_refused(tmp_path, how, encoder, told):
    write_onnx(tmp_path / "m.onnx", **how)
    with pytest.raises((DataError, OptionValueError), match=told):
        encode(tmp_path / "w", encoder)


# Whole numbers, the type that a model takes, and the first that it does not hold.
HELD = [
    ([5, 2**31 - 1], "int64", "INT32", None),
    ([5, 4294967301], "int64", "INT32", "int32.* hold 4294967301 "),
    ([7, 2**63], "uint64", "INT64", "int64.* hold 9223372036854775808 "),
    ([2048, 65504], "int32", "FLOAT16", None),
    ([2048, 2049], "int32", "FLOAT16", "float16.* hold 2049 "),
    ([1, 70000], "uint32", "FLOAT16", "float16.* hold 70000 "),
    ([1, -(2**31)], "int32", "FLOAT16", "float16.* hold -2147483648 "),
    ([-(2**24), 2**40], "int64", "FLOAT", None),
    ([0, 2**24 + 1], "int32", "FLOAT", "float32.* hold 16777217 "),
    ([-(2**63), 2**53], "int64", "DOUBLE", None),
    ([0, 2**63 - 1], "int64", "DOUBLE", "float64.* hold 9223372036854775807 "),
    ([0, 2**64 - 1], "uint64", "DOUBLE", "float64.* hold 18446744073709551615 "),
    ([0, 1], "bool", "FLOAT", None),
    ([0.1, np.inf], "float64", "FLOAT", None),
    ([0.1, 1e39], "float64", "FLOAT", "float32.* hold 1e\\+39 "),
]


@pytest.mark.parametrize(("values", "dtype", "taken", "told"), HELD)
def test_a_number_that_the_models_type_does_not_hold_is_refused_by_name(
    tmp_path, values, dtype, taken, told
):
    write_onnx(tmp_path / "m.onnx", dtype=taken)
    function = onnx_function(
        encoder_choice({"encoder": "m.onnx", "weights": None, "model": None}, None),
        batch_size=2,
        row_shape=(7,),
        dtype=np.dtype(dtype),
    )
    rows = np.zeros((2, 7), dtype)
    rows[:, 3] = values
    if told is None:
        assert function(rows).shape == (2, 3)
    else:
        with pytest.raises(DataError, match=rf"m\.onnx takes {told}of the rows"):
            function(rows)


def test_a_fraction_or_what_is_beyond_a_whole_type_is_refused_of_floats_too(tmp_path):
    whole = np.array([-(2.0**31), 0, 2**31 - 1])
    held = held_numbers(tmp_path, whole, np.dtype("int32"))
    assert held.dtype == np.int32
    assert held.tolist() == whole.tolist()
    for value in (2.7, 2.0**31, -(2.0**31) - 1, np.nan, np.inf):
        with pytest.raises(DataError, match=r"takes int32, which does not hold"):
            held_numbers(tmp_path, np.array([1.0, value]), np.dtype("int32"))
    with pytest.raises(DataError, match=r"float32, which does not hold \(2\+3j\)"):
        held_numbers(tmp_path, np.array([1, 2 + 3j]), np.dtype("float32"))


def test_other_rows_and_damage_are_refused_by_the_file(tmp_path):
    write_onnx(tmp_path / "m.onnx")
    np.save("wide.npy", np.zeros((9, 8), np.float32))
    with pytest.raises(DataError, match=r"m\.onnx takes rows of shape \(7,\).*\(8,\)"):
        encode(tmp_path / "w", "m.onnx", "wide.npy")
    (tmp_path / "lines.txt").write_text("one\n")
    with pytest.raises(DataError, match=r"m\.onnx takes numbers.*function of lines"):
        encode(tmp_path / "w", "m.onnx", "lines.txt")
    content = (tmp_path / "m.onnx").read_bytes()
    (tmp_path / "m.onnx").write_bytes(content[:-30])
    with pytest.raises(DataError, match=r"m\.onnx cannot be read"):
        encode(tmp_path / "w", "m.onnx")


@pytest.mark.keras
def test_a_keras_file_encodes_rows_that_are_no_images(tmp_path):
    import keras

    inputs = keras.Input((7,))
    layer = keras.layers.Dense(3, name="z")
    model = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))
    model.save("whole.keras")
    found = encode(tmp_path / "w", "whole.keras")
    kernel, bias = (np.asarray(v, np.float64) for v in layer.get_weights())
    np.testing.assert_allclose(found, VALUES @ kernel + bias, rtol=1e-4, atol=1e-5)
    for row, told in ((2**24 + 1, "float32.*16777217 "), (2**40, None)):
        np.save("whole.npy", np.full((40, 7), row))
        if told is None:
            found = encode(tmp_path / "held", "whole.keras", "whole.npy")
            np.testing.assert_allclose(found[39], 2.0**40 * kernel.sum(0), rtol=1e-3)
            continue
        with pytest.raises(DataError, match=rf"whole\.keras takes {told}of the rows"):
            encode(tmp_path / "other", "whole.keras", "whole.npy")
    (tmp_path / "lines.txt").write_text("one\n")
    with pytest.raises(DataError, match=r"whole\.keras takes numbers.*list of lines"):
        encode(tmp_path / "text", "whole.keras", "lines.txt")


# --- what the planner says --------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["m.pt", "m.pth", "m.pt2", "m.pkl", "m.joblib", "m.safetensors"]
)
def test_what_only_unpickling_opens_is_refused_with_the_way_that_does_without(
    tmp_path, name
):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(OptionValueError, match=r"nothing is unpickled") as caught:
        JOB.check(context(tmp_path / "w", encoder=name, source="rows.npy"))
    assert "--weights FILE" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"encoder": "own.py:same", "model": "m.keras"}, "expected one of them"),
        ({"model": "m.keras", "weights": "own.py"}, "--weights is .* beside --encoder"),
        ({"encoder": "own"}, "MODULE:FUNCTION, FILE.py:FUNCTION, FILE.keras"),
        ({"encoder": "nothing.py:same"}, "is not there"),
        ({"encoder": "nothing:same"}, "there is no module nothing"),
        ({"encoder": "w/own.py:same"}, "outside the workspace"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path, given, told):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "own.py").write_text(CODE)
    given = {
        name: str(tmp_path / value) if name in {"model", "weights"} else value
        for name, value in given.items()
    }
    with pytest.raises(UsageError, match=told):
        JOB.check(context(tmp_path / "w", **given))


def test_rows_and_images_at_once_are_refused(tmp_path):
    given = {"encoder": "own.py:same", "source": "rows.npy", "data": str(tmp_path)}
    with pytest.raises(UsageError, match="--data is for images"):
        JOB.inputs(context(tmp_path / "w", **given))


def test_what_the_encoder_is_belongs_to_the_recipe(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"1")
    given = {
        "encoder": "own:of_file",
        "source": "rows.npy",
        "weights": str(tmp_path / "weights.bin"),
    }
    asked = context(tmp_path / "w", **given)
    before = dict(JOB.inputs(asked))
    assert set(before) == {"source", "encoder", "weights"}
    (tmp_path / "own.py").write_text(CODE + "\n")
    (tmp_path / "weights.bin").write_bytes(b"2")
    np.save("rows.npy", VALUES[1:])
    after = JOB.inputs(asked)
    assert all(after[name] != before[name] for name in before)


def test_code_that_the_workspace_names_runs_on_the_users_word_alone(tmp_path):
    (tmp_path / "own.py").write_text("raise SystemExit('was run')")
    space = tmp_path / "w"
    space.mkdir()
    given = {"encoder": "own.py:same", "source": "rows.npy"}
    with pytest.raises(DataError, match=r"journal names own\.py:same.*--encoder"):
        JOB.check(context(space, typed=(), **given))
    (space / "lowmem.toml").write_text('[encode]\nencoder = "own.py:same"\n')
    with pytest.raises(DataError, match=r"lowmem\.toml names own\.py:same.*--code"):
        JOB.check(context(space, typed=(), **given))
    JOB.check(context(space, **given))
    JOB.check(context(space, typed=(), **given))
