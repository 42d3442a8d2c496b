"""An encoder that is a function of a block of rows, the user's own or an ONNX model's."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base import ModelError, OptionValueError
from lowmem.mapping import Function, load_function
from lowmem_jobs.encode.encoder_choice import OPTION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem import Workspace
    from lowmem_jobs.encode.encoder_choice import EncoderChoice
    from lowmem_jobs.encode.row_readers import Rows

_WEIGHTS = "weights"


class FunctionEncoder:
    """Calls a function with a fixed number of rows, and looks at what it returns.

    Parameters
    ----------
    of_rows
        Takes a block of rows, read-only, and returns an array (n, d) of floats.
    first
        The first rows, those of one call: the function is tried with them.

    Raises
    ------
    JobDefinitionError
        If a row's vector depends on the rows beside it, is another each time, or is no
        vector of floats.
    """

    def __init__(
        self, of_rows: Callable[[Any], object], *, batch_size: int, first: Rows
    ) -> None:
        self._function = Function(job="encode", of_rows=of_rows, is_vectors=True)
        self._batch_size = batch_size
        self._first, is_exact = self._function.tried(_read_only(first))
        self.notes = () if is_exact else (_rounding(batch_size),)

    @property
    def latent_dim(self) -> int:
        """Length of a vector."""
        return int(self._first.shape[1])

    @property
    def first(self) -> NDArray[np.float32]:
        """The vectors of the first rows, as they are stored."""
        return _stored(self._first)

    def refuse_unless_same(self, stored: NDArray[np.float32]) -> None:
        """Refuse to go on where the first vectors would not be made again.

        Raises
        ------
        JobDefinitionError
            Naming the first row that differs.
        """
        self._function.refuse_unless_same(self.first, stored, 0)

    def encode(self, rows: Rows, *, row: int) -> NDArray[np.float32]:
        """Return the vectors of rows, of which ``row`` is the first."""
        out = np.empty((len(rows), self.latent_dim), np.float32)
        for start in range(0, len(rows), self._batch_size):
            batch = _read_only(rows[start : start + self._batch_size])
            made = self._function(batch, row + start)
            self._function.refuse_unless_like(made, self._first, row + start)
            out[start : start + len(batch)] = _stored(made)
        return out


def _stored(made: NDArray[Any]) -> NDArray[np.float32]:
    # What is too large for it becomes infinite, and is refused as such.
    with np.errstate(over="ignore"):
        return made.astype(np.float32)


def _read_only(rows: Rows) -> Rows:
    if isinstance(rows, np.ndarray):
        rows = rows.view()
        rows.flags.writeable = False
    return rows


def _rounding(batch_size: int) -> str:
    return (
        "the last digits of a vector depend on how many rows the encoder is given at "
        f"once: always {batch_size}, which belongs to the recipe"
    )


def function_of(choice: EncoderChoice, space: Workspace) -> Callable[[Any], object]:
    """Return the user's function of rows; one that builds it is called, once.

    What takes nothing, or ``weights`` alone, builds it, and so does every class. Anything
    else is itself the function of rows.

    Raises
    ------
    OptionValueError
        If there is no such function, or weights are given and not taken, or the reverse.
    ModelError
        If what was built cannot be called.
    """
    found, _ = load_function(choice.text, space, option=OPTION)
    named = _parameters(found)
    is_builder = inspect.isclass(found) or (
        named is not None and set(named) <= {_WEIGHTS}
    )
    takes_weights = is_builder and _WEIGHTS in (named or {})
    if choice.weights is not None and not takes_weights:
        raise _refused_weights(choice.weights, f"{choice.text} does not take them")
    if not is_builder:
        return found
    needs_weights = takes_weights and (named or {})[_WEIGHTS] is inspect.Parameter.empty
    if needs_weights and choice.weights is None:
        raise _refused_weights(None, f"{choice.text} needs them")
    given = {_WEIGHTS: choice.weights} if choice.weights is not None else {}
    built: Callable[[Any], object] = found(**given)
    if not callable(built):
        raise ModelError(
            model=choice.text,
            problem=f"builds a {type(built).__name__}",
            expected="what takes nothing to return a function of a block of rows",
        )
    return built


def _parameters(found: Callable[..., Any]) -> dict[str, object] | None:
    """Return what a function takes, with defaults; None where it does not say."""
    try:
        taken = inspect.signature(found).parameters
    except (TypeError, ValueError):
        return None
    return {name: parameter.default for name, parameter in taken.items()}


def _refused_weights(path: Path | None, why: str) -> OptionValueError:
    return OptionValueError(
        option="--weights",
        value=None if path is None else str(path),
        expected=f"the file that a class or function of {OPTION} takes as its argument "
        f"`weights` ({why})",
    )
