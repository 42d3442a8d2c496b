"""An ONNX model as a function of a block of rows, on the processor.

A file of this format is data: its operators are the runtime's own. It may name other files
for its weights, which would then be no part of what the recipe knows: that is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base import (
    DataError,
    MissingDependencyError,
    OptionValueError,
    refuse_unless_regular,
    storage_errors,
)
from lowmem_jobs.encode.number_types import held_numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem_jobs.encode.encoder_choice import EncoderChoice

# Of one row, by the runtime's names of types.
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(uint16)": "uint16",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}


def onnx_function(
    choice: EncoderChoice,
    *,
    batch_size: int,
    row_shape: tuple[int, ...] | None,
    dtype: np.dtype[Any] | None,
) -> Callable[[Any], NDArray[Any]]:
    """Return the model as a function of up to ``batch_size`` rows.

    Fewer rows are filled up with blank ones, as the Keras encoder does it: a batch of
    another size may be computed in another order. An output of more axes is flattened.

    Raises
    ------
    DataError
        If the file cannot be read, takes weights from other files, or takes other rows.
        So does the function for a row with a number that the model's type does not hold.
    OptionValueError
        If it has no such output.
    MissingDependencyError
        If what reads it is not installed.
    """
    session = _session(choice.file)
    if len(session.get_inputs()) != 1:
        names = ", ".join(one.name for one in session.get_inputs())
        raise _unfit(choice.file, f"takes the inputs {names}", "one input, the rows")
    (taken,) = session.get_inputs()
    wanted = _wanted_dtype(choice.file, taken.type)
    _refuse_other_rows(choice.file, taken.shape, row_shape, batch_size)
    if dtype is not None and not np.can_cast(dtype, wanted, "same_kind"):
        raise _unfit(choice.file, f"takes {wanted}", f"{dtype}, the type of the rows")
    output = _output(choice, [one.name for one in session.get_outputs()])

    def of_rows(rows: NDArray[Any]) -> NDArray[Any]:
        batch = np.zeros((batch_size, *rows.shape[1:]), wanted)
        batch[: len(rows)] = held_numbers(choice.file, rows, wanted)
        (made,) = session.run([output], {taken.name: batch})
        if np.shape(made)[:1] != (batch_size,):
            return np.asarray(made)  # Refused by its number of rows.
        return np.asarray(made).reshape(batch_size, -1)[: len(rows)]

    return of_rows


def _session(file: Path) -> Any:  # noqa: ANN401 - the runtime's own, without types
    try:
        # Of an extra: not installed everywhere.
        import onnx  # noqa: PLC0415
        import onnxruntime  # noqa: PLC0415
        from google.protobuf.message import DecodeError  # noqa: PLC0415
        from onnxruntime.capi import onnxruntime_pybind11_state as errors  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            package="'lowmem[onnx]'", purpose=f"--encoder {file.name}"
        ) from error
    refuse_unless_regular(file)
    with storage_errors(file):
        content = file.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model)
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise _unreadable(file, error) from error
    _refuse_other_files(file, model)
    del model
    how = onnxruntime.SessionOptions()
    how.use_deterministic_compute = True
    # The arena doubles what it takes, and gives nothing back.
    how.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(
            content, how, providers=["CPUExecutionProvider"]
        )
    except (
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.InvalidProtobuf,
        errors.NotImplemented,
    ) as error:
        raise _unreadable(file, error) from error


def _refuse_other_files(file: Path, model: Any) -> None:  # noqa: ANN401 - protobuf
    """Refuse weights that lie elsewhere, in whatever part of the model they are named."""
    for tensor in _tensors(model):
        if tensor.data_location != tensor.DEFAULT:
            places = {entry.key: entry.value for entry in tensor.external_data}
            raise DataError(
                thing=file,
                problem=f"takes {tensor.name or 'weights'} from another file, "
                f"{places.get('location')}",
                expected="a model that holds all of itself",
                todo="Save it anew: onnx.save(onnx.load(PATH), PATH, "
                "save_as_external_data=False).",
            )


def _tensors(message: Any) -> Any:  # noqa: ANN401 - protobuf
    """Yield the tensors within a message, at any depth."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            several = value if not hasattr(value, "DESCRIPTOR") else [value]
            for part in several:
                yield from _tensors(part)


def _wanted_dtype(file: Path, kind: str) -> np.dtype[Any]:
    if kind not in _DTYPES:
        raise _unfit(file, f"takes {kind}", "numbers")
    return np.dtype(_DTYPES[kind])


def _refuse_other_rows(
    file: Path,
    shape: list[int | str | None],
    row_shape: tuple[int, ...] | None,
    batch_size: int,
) -> None:
    if row_shape is None:
        raise _unfit(
            file,
            "takes numbers",
            "a function of lines, that makes numbers of them first: --encoder "
            "FILE.py:FUNCTION",
        )
    # An axis without a number takes any.
    fixed = [size if isinstance(size, int) else None for size in shape]
    pairs = zip(fixed[1:], row_shape, strict=False)
    if len(fixed) != len(row_shape) + 1 or any(a not in {None, b} for a, b in pairs):
        raise _unfit(
            file,
            f"takes rows of shape {tuple(shape[1:])}",
            f"{row_shape}, the shape of the rows; a function may bring them into another "
            "form first: --encoder FILE.py:FUNCTION",
        )
    if fixed[0] not in {None, batch_size}:
        raise OptionValueError(
            option="--batch-size",
            value=batch_size,
            expected=f"{fixed[0]}, the only number of rows that {file} takes",
        )


def _output(choice: EncoderChoice, names: list[str]) -> str:
    wanted = choice.output
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return str(wanted)
    raise OptionValueError(
        option="--encoder",
        value=choice.text,
        expected=f"FILE.onnx:OUTPUT, the output one of {', '.join(names)}",
    )


def _unfit(file: Path, problem: str, expected: str) -> DataError:
    return DataError(thing=file, problem=problem, expected=expected)


def _unreadable(file: Path, error: Exception) -> DataError:
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return _unfit(file, f"cannot be read ({first})", "an ONNX model")
