"""The only file that calls TensorFlow, JAX or PyTorch by name."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lowmem.base.errors import MissingDependencyError, MissingDeviceError
from lowmem.base.software import software_versions
from lowmem.memory.vram import pool_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from lowmem.protocol.planning import Device

# What is between a store and the model.
_READING = ("python", "zarr", "numcodecs")
# Names of what `generator_states` may yield.
GENERATORS = ("backend", "device")
# Of such a state.
_STATE_TYPES = {"tensorflow": np.dtype(np.int64), "torch": np.dtype(np.uint8)}


def configure(*, device: Device, vram_budget_bytes: int | None) -> None:
    """Make results repeatable, and bound the memory taken on the device.

    Must be called before the first computation of the process.

    Raises
    ------
    MissingDeviceError
        If ``device`` is ``gpu`` and the backend sees none.
    DeviceBudgetError
        If the budget leaves no useful memory on the device.
    """
    name = keras.backend.backend()
    if device == "gpu" and not has_gpu():
        raise MissingDeviceError(device="gpu", found=f"none that {name} can use")
    if name == "tensorflow":
        _configure_tensorflow(device, vram_budget_bytes)
    elif name == "torch":
        _configure_torch(device, vram_budget_bytes)
    # JAX is configured by the environment its process was started with.


def make_repeatable() -> None:
    """Let operations give the same bits each time, for the rest of the process.

    JAX needs no word on a CPU; on a GPU its environment says it, before it starts.
    """
    name = keras.backend.backend()
    if name == "torch":
        import_module("torch").use_deterministic_algorithms(mode=True)
    elif name == "tensorflow":
        tf = import_module("tensorflow")
        try:
            # Made while it may be: its state belongs to what is saved.
            tf.random.get_global_generator()
        except RuntimeError:
            # Repeatable already, so that nothing can have drawn from one that is not seeded.
            seed_generator(0)
        tf.config.experimental.enable_op_determinism()


def seed_generator(seed: int) -> None:
    """Seed the backend's random generator of which Keras does not know."""
    if keras.backend.backend() == "tensorflow":
        random = import_module("tensorflow").random
        random.set_global_generator(random.Generator.from_seed(seed))


def has_gpu() -> bool:
    """Tell whether the backend sees a device other than the CPU."""
    name = keras.backend.backend()
    if name == "tensorflow":
        return bool(import_module("tensorflow").config.list_physical_devices("GPU"))
    if name == "torch":
        return bool(import_module("torch").cuda.is_available())
    try:
        return bool(import_module("jax").default_backend() != "cpu")
    except RuntimeError:  # A platform is demanded by name and cannot be begun.
        return False


def _configure_tensorflow(device: Device, vram_budget_bytes: int | None) -> None:
    tf = import_module("tensorflow")
    tf.config.experimental.enable_op_determinism()
    if device == "cpu":
        return
    gpu, *others = tf.config.list_physical_devices("GPU")
    if others:
        tf.config.set_visible_devices([gpu], "GPU")
    if vram_budget_bytes is None:
        tf.config.experimental.set_memory_growth(gpu, enable=True)
        return
    pool = pool_bytes(vram_budget_bytes, framework="tensorflow")
    limit = tf.config.LogicalDeviceConfiguration(memory_limit=pool // 2**20)
    tf.config.set_logical_device_configuration(gpu, [limit])


def _configure_torch(device: Device, vram_budget_bytes: int | None) -> None:
    torch = import_module("torch")
    torch.use_deterministic_algorithms(mode=True)
    if device == "cpu" or vram_budget_bytes is None:
        return
    _, total_bytes = torch.cuda.mem_get_info(0)
    pool = pool_bytes(vram_budget_bytes, framework="torch")
    torch.cuda.set_per_process_memory_fraction(min(1.0, pool / total_bytes), 0)


def generator_states() -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the states of the backend's own random generators, by name.

    JAX has none. PyTorch has another for its device.
    """
    name = keras.backend.backend()
    if name == "tensorflow":
        generator = import_module("tensorflow").random.get_global_generator()
        yield "backend", np.asarray(generator.state.numpy())
    elif name == "torch":
        torch = import_module("torch")
        yield "backend", torch.get_rng_state().numpy()
        if torch.cuda.is_available():
            yield "device", torch.cuda.get_rng_state().numpy()


def draw_as_loader() -> None:
    """Draw what a loader of PyTorch draws when it begins to read; others draw nothing."""
    if keras.backend.backend() == "torch":
        iter(import_module("torch.utils.data").DataLoader([0]))


def restore_generator_states(states: Mapping[str, NDArray[Any]]) -> None:
    """Put the backend's random generators back, those that are here and in ``states``.

    A state of another backend's means nothing here, and is told by its type: where a
    training goes on with another, that one's generator goes on from the seed.
    """
    name = keras.backend.backend()
    mine = {
        key: value
        for key, value in states.items()
        if value.dtype == _STATE_TYPES.get(name)
    }
    if name == "tensorflow" and "backend" in mine:
        generator = import_module("tensorflow").random.get_global_generator()
        generator.reset(mine["backend"])
    elif name == "torch":
        torch = import_module("torch")
        if "backend" in mine:
            torch.set_rng_state(torch.from_numpy(mine["backend"]))
        if "device" in mine and torch.cuda.is_available():
            torch.cuda.set_rng_state(torch.from_numpy(mine["device"]))


def environment() -> dict[str, str]:
    """Return what bit-identical results depend on beside data, recipe and seed."""
    name = keras.backend.backend()
    found = {
        **_reading_versions(),
        "keras": keras.__version__,
        "backend": f"{name} {import_module(name).__version__}",
        "numpy": np.__version__,
        "device": "gpu" if has_gpu() else "cpu",
    }
    if name == "tensorflow":
        found["threads"] = str(_tensorflow_threads())
    return found


@cache
def _reading_versions() -> dict[str, str]:
    """Return the versions of what brings the data; asked at every step."""
    versions = software_versions({})
    return {name: versions[name] for name in _READING if name in versions}


def _tensorflow_threads() -> int:
    """Return the threads of one operation; 0 leaves it to TensorFlow and the machine."""
    tf = import_module("tensorflow")
    return int(tf.config.threading.get_intra_op_parallelism_threads())


def tensorflow_dataset(
    read: Callable[[int], NDArray[Any]],
    numbers: range,
    *,
    row_shape: tuple[int, ...],
    dtype: np.dtype[Any],
    is_autoencoding: bool,
    queue_depth: int,
    labels: tuple[Callable[[int], NDArray[Any]], np.dtype[Any]] | None = None,
) -> Any:  # noqa: ANN401 - TensorFlow has no types
    """Return a `tf.data.Dataset` of the batches with these numbers.

    With ``labels``, how those of a batch are read and their type, as ``(x, labels)``.

    TensorFlow takes a batch as it is, if it begins at a multiple of 64 bytes, and refers
    to it until the step is done.

    Raises
    ------
    MissingDependencyError
        If TensorFlow is not installed.
    """
    try:
        tf = import_module("tensorflow")
    except ImportError as error:
        raise MissingDependencyError(package="tensorflow", purpose="tf.data") from error

    def batch(number: Any) -> Any:  # noqa: ANN401
        x = tf.numpy_function(read, [number], tf.as_dtype(dtype))
        x.set_shape((None, *row_shape))
        if labels is not None:
            y = tf.numpy_function(labels[0], [number], tf.as_dtype(labels[1]))
            y.set_shape((None,))
            return (x, y)
        return (x, x) if is_autoencoding else x

    order = tf.data.Dataset.range(numbers.start, max(numbers.start, numbers.stop))
    # Without parallel calls: the thread that reads ahead is the only one that reads.
    return order.map(batch).prefetch(queue_depth)
