"""`lowmem.fit`: Keras' `fit` with `ExactResume`, in a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowmem.fitting.resume import ExactResume

if TYPE_CHECKING:
    import keras

_FOLDER = "fit"


def fit(
    model: keras.Model,
    x: Any,  # noqa: ANN401 - as Keras takes it
    y: Any = None,  # noqa: ANN401
    *,
    workspace: Path | str = "lowmem-work",
    every_steps: int = 100,
    mirror: Path | str | None = None,
    seed: int = 0,
    time: float | str | None = None,
    keep: int | None = None,
    restart: bool = False,
    **of_fit: Any,  # noqa: ANN401
) -> keras.callbacks.History:
    """Train a compiled model by its own `fit`, going on where the last process died.

    Called again after any end of the process it continues at the next batch, and ends
    with the weights, history and best weights of a training that was never stopped.

    Parameters
    ----------
    model
        Compiled, and made as it was before the first step each time.
    x, y
        Arrays, structures of arrays, a `ZarrSequence`, or a data set of Keras' that says
        ``is_function_of_index``.
    workspace
        Folder of the experiment; the commits are in ``fit`` there.
    every_steps, mirror, seed, time, keep
        As for `ExactResume`.
    restart
        Whether to forget the commits and begin anew.
    of_fit
        All other arguments of `fit`: ``epochs``, ``callbacks``, ``validation_data``, ...

    Raises
    ------
    InexactFitError
        Before the first step, for what could not go on as if it had never stopped.
    FitStoppedError
        After a commit, when a signal or ``time`` asked it to end.

    Examples
    --------
    >>> import keras, numpy as np, tempfile
    >>> space = tempfile.mkdtemp()
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x = np.arange(8, dtype="float32").reshape(4, 2)
    >>> words = {"workspace": space, "verbose": 0, "batch_size": 2}
    >>> history = fit(model, x, x[:, :1], epochs=2, **words)
    >>> history.epoch
    [0, 1]
    >>> fit(model, x, x[:, :1], epochs=3, **words).epoch
    [0, 1, 2]
    """
    folder = Path(workspace) / _FOLDER
    resume = ExactResume(
        folder,
        every_steps=every_steps,
        mirror=mirror,
        seed=seed,
        time=time,
        keep=keep,
    )
    if restart:
        resume.forget()
    try:
        history: keras.callbacks.History = model.fit(
            **resume.fit_arguments(x, y, **of_fit)
        )
    finally:
        resume.close()
    return history
