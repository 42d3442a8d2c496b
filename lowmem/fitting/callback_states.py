"""The state of callbacks: what of it is kept, and how it is put back.

One with `get_state` and `set_state` says it itself. Of all others it is their attributes,
less what comes from the script again: functions, and the settings that Keras' own classes
are made with. These are left out, since a class may change them once and for all: the
first epoch's end turns the sign of `min_delta`.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import TYPE_CHECKING, Any

import keras

from lowmem.base.errors_fit import InexactFitError
from lowmem.base.errors_loop import UnkeptValueError
from lowmem.states.kinds import packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    State = dict[str, Any]

# What Keras gives to every callback, and what its own classes make of their settings.
_GIVEN = {"params", "_model", "model"}
_MADE = {"monitor_op", "min_delta"}
# Open files, and what leads to them.
_OPEN = {
    "CSVLogger": {"sep", "writer", "csv_file", "append_header"},
    "TensorBoard": {
        "_writers",
        "_prev_summary_state",
        "_train_dir",
        "_val_dir",
        "_log_write_dir",
        "_start_batch",
        "_stop_batch",
    },
    # It shows where the process is.
    "ProgbarLogger": {"progbar", "seen", "target", "epochs", "_called_in_fit"},
}
_RESTORING = ("BackupAndRestore", "OrbaxCheckpoint", "ExactResume")


def refuse_callbacks(callbacks: Sequence[Any]) -> None:
    """Refuse what restores a training by itself, and what holds a state that is not kept.

    Raises
    ------
    InexactFitError
        Naming the callback.
    """
    for index, callback in enumerate(callbacks):
        name = f"callbacks[{index}], a {type(callback).__name__},"
        if any(cls.__name__ in _RESTORING for cls in type(callback).__mro__):
            raise InexactFitError(
                thing=name,
                problem="puts back a state of its own",
                expected="one that does",
                todo="Leave it out: this training is continued by lowmem.",
            )
        try:
            packed(state_of(callback))
        except UnkeptValueError as error:
            raise InexactFitError(
                thing=name,
                problem=f"has a state that is not kept: {error}",
                expected="numbers, text, arrays, and structures of them",
                todo="Give it get_state(), which returns such values, and set_state().",
            ) from error


def states_of(callbacks: Sequence[Any]) -> list[State]:
    """Return the state of each callback, with its class."""
    return [{"class": _name(one), "state": state_of(one)} for one in callbacks]


def names_of(callbacks: Sequence[Any]) -> list[str]:
    """Return the classes: those that a commit belongs to."""
    return [_name(one) for one in callbacks]


def put_back(callbacks: Sequence[Any], states: Sequence[State]) -> None:
    """Put callbacks of the same classes into their states."""
    for callback, found in zip(callbacks, states, strict=True):
        state = found["state"]
        if _has_protocol(callback):
            callback.set_state(state)
            continue
        rows = state.pop("rows", None) if _is_csv(callback) else None
        for name, value in state.items():
            setattr(callback, name, value)
        if rows is not None:
            _write_again(callback, rows)


def state_of(callback: Any) -> Any:  # noqa: ANN401 - a callback's own
    """Return what of a callback is to be kept."""
    if _has_protocol(callback):
        return callback.get_state()
    own = _keras_class(callback)
    left_out = set(_GIVEN)
    if own is not keras.callbacks.Callback:
        left_out |= _MADE | _OPEN.get(own.__name__, set())
        left_out |= set(inspect.signature(own.__init__).parameters)
    state = {
        name: value
        for name, value in vars(callback).items()
        if name not in left_out and not _is_code(value)
    }
    return state | {"rows": _rows(callback)} if _is_csv(callback) else state


def _has_protocol(callback: object) -> bool:
    return all(
        callable(getattr(callback, name, None)) for name in ("get_state", "set_state")
    )


def _keras_class(callback: object) -> type[Any]:
    """Return the class of Keras' that a callback is of, or is derived from."""
    return next(
        (
            cls
            for cls in type(callback).__mro__
            if cls.__module__.split(".", 1)[0] == "keras"
        ),
        keras.callbacks.Callback,
    )


def _is_code(value: object) -> bool:
    return inspect.isroutine(value) or isinstance(value, type | ModuleType)


def _name(callback: object) -> str:
    # Not the module: a notebook's or a script's is "__main__", and Keras moves its own.
    return type(callback).__qualname__


# --- the file that CSVLogger begins anew in each process ---------------------------


def _is_csv(callback: object) -> bool:
    return isinstance(callback, keras.callbacks.CSVLogger)


def _rows(callback: Any) -> bytes:  # noqa: ANN401 - of Keras, untyped
    """Return what is in its file."""
    file = getattr(callback, "csv_file", None)  # Keras 3.10 sets it in `fit`.
    if file is None or file.closed:
        return b""
    file.flush()
    with open(callback.filename, "rb") as stream:  # noqa: PTH123 - a caller's name
        return stream.read()


def _write_again(callback: Any, rows: bytes) -> None:  # noqa: ANN401
    callback.csv_file.close()
    with open(callback.filename, "wb") as stream:  # noqa: PTH123
        stream.write(rows)
    callback.csv_file = open(callback.filename, "a")  # noqa: PTH123, SIM115 - Keras closes it
    callback.append_header = not rows
    callback.writer = None
