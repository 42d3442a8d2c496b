"""States of PyTorch and of JAX come back equal to the bit, where they are installed."""

from __future__ import annotations

import numpy as np
import pytest

from lowmem import Checkpoint
from lowmem.base.errors_loop import OtherStateError, UnkeptValueError

pytestmark = pytest.mark.slow


def back(folder, state, *given):
    with Checkpoint(folder) as checkpoint:
        checkpoint.commit(state)
        return checkpoint.restore(*given)


# --- PyTorch -----------------------------------------------------------------------


def network(torch):
    return torch.nn.Sequential(
        torch.nn.Linear(5, 8),
        torch.nn.BatchNorm1d(8),
        torch.nn.Dropout(0.4),
        torch.nn.Linear(8, 1),
    )


class TorchLoop:
    """A training as people write it."""

    def __init__(self, torch):
        torch.manual_seed(4)
        self.torch = torch
        self.rng = torch.Generator().manual_seed(9)
        self.model = network(torch)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 12)
        self.step = 0

    def state(self):
        return {
            "step": self.step,
            "model": self.model,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "rng": self.rng,
            "dropout": self.torch.get_rng_state(),
        }

    def restore(self, found):
        self.step = found["step"]
        self.torch.set_rng_state(found["dropout"])

    def train(self, n_steps):
        for _ in range(n_steps):
            x = self.torch.randn(6, 5, generator=self.rng)
            loss = (self.model(x) - x[:, :1]).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.step += 1

    def bytes(self):
        tensors = [
            p.detach().numpy().tobytes() for p in self.model.state_dict().values()
        ]
        for slot in self.optimizer.state_dict()["state"].values():
            tensors += [value.numpy().tobytes() for value in slot.values()]
        return tensors, self.schedule.get_last_lr(), self.step


@pytest.mark.parametrize("cut", [1, 5])
def test_a_torch_training_goes_on_with_the_same_bits(tmp_path, cut):
    torch = pytest.importorskip("torch")
    unbroken = TorchLoop(torch)
    unbroken.train(10)
    first = TorchLoop(torch)
    first.train(cut)
    with Checkpoint(tmp_path) as checkpoint:
        checkpoint.commit(first.state())
    second = TorchLoop(torch)
    second.train(2)  # Whatever it did before is overwritten.
    with Checkpoint(tmp_path) as checkpoint:
        found = checkpoint.restore(second.state())
    assert found["model"] is second.model
    second.restore(found)
    second.train(10 - cut)
    assert second.bytes() == unbroken.bytes()


def test_torch_state_dicts_are_values_too(tmp_path):
    torch = pytest.importorskip("torch")
    model = network(torch)
    found = back(tmp_path, {"m": model.state_dict()})["m"]
    assert list(found) == list(model.state_dict())
    assert found._metadata == model.state_dict()._metadata
    network(torch).load_state_dict(found)


DTYPES = [
    "float32",
    "float16",
    "bfloat16",
    "float8_e4m3fn",
    "int64",
    "bool",
    "complex64",
]


@pytest.mark.parametrize("name", DTYPES)
def test_a_tensor_keeps_dtype_shape_and_bits(tmp_path, name):
    torch = pytest.importorskip("torch")
    value = torch.tensor([[0.0, 1.5], [-0.0, 2.0]]).to(getattr(torch, name))
    found = back(tmp_path, [value, value.T, value[0, 1], value[:0]])
    for one, expected in zip(
        found, (value, value.T, value[0, 1], value[:0]), strict=True
    ):
        assert (one.dtype, one.shape) == (expected.dtype, expected.shape)
        plain = [t.reshape(-1).contiguous().view(torch.uint8) for t in (one, expected)]
        assert torch.equal(*plain)


def test_a_tensor_that_an_optimiser_holds_is_filled_in_place(tmp_path):
    torch = pytest.importorskip("torch")
    held, plain = torch.ones(2, requires_grad=True), torch.ones(2)
    given = [torch.zeros(2, requires_grad=True), torch.zeros(9)]
    found = back(tmp_path, [held, plain], given)
    assert found[0] is given[0]
    assert found[0].tolist() == found[1].tolist() == [1, 1]
    with (
        Checkpoint(tmp_path) as checkpoint,
        pytest.raises(OtherStateError, match=r"state\[0\] is a tensor of \(3,\)"),
    ):
        checkpoint.restore([torch.zeros(3, requires_grad=True), plain])


def test_tensors_that_are_no_plain_memory_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    leaf = torch.ones(2, requires_grad=True)
    for value, problem in (
        (torch.eye(2).to_sparse(), "not dense"),
        (torch.empty(2, device="meta"), "not dense"),
        (leaf * 2, "others were computed"),
    ):
        with pytest.raises(UnkeptValueError, match=rf"state\['x'\] .*{problem}"):
            back(tmp_path, {"x": value})


# --- JAX ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["float32", "bfloat16", "int8", "bool", "complex64"])
def test_a_jax_array_keeps_dtype_shape_and_bits(tmp_path, name):
    jnp = pytest.importorskip("jax.numpy")
    value = jnp.asarray([[0.0, 1.5], [-0.0, 2.0]]).astype(name)
    state = (value, value[0, 1], value[:0])
    for one, expected in zip(back(tmp_path, state), state, strict=True):
        assert isinstance(one, type(value))
        assert (one.dtype, one.shape) == (expected.dtype, expected.shape)
        assert one.weak_type == expected.weak_type
        assert np.asarray(one).tobytes() == np.asarray(expected).tobytes()


def test_a_jax_array_whose_dtype_gives_way_still_does(tmp_path):
    jnp = pytest.importorskip("jax.numpy")
    values = [jnp.asarray(1.5), jnp.full((2, 2), -0.0), jnp.asarray(3)]
    for one, expected in zip(back(tmp_path, values), values, strict=True):
        assert one.weak_type
        half = jnp.ones((), "bfloat16")
        assert (one + half).dtype == (expected + half).dtype
        assert np.asarray(one).tobytes() == np.asarray(expected).tobytes()


def test_jax_keys_go_on(tmp_path):
    jax = pytest.importorskip("jax")
    keys = [jax.random.key(3), jax.random.PRNGKey(3), jax.random.key(3, impl="rbg")]
    for one, expected in zip(back(tmp_path, keys), keys, strict=True):
        assert one.dtype == expected.dtype
        assert jax.random.uniform(one) == jax.random.uniform(expected)


def test_a_jax_training_goes_on_with_the_same_bits(tmp_path):
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    adam = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01))

    def begun():
        weights = {"w": jax.numpy.zeros((5, 1)), "b": jax.numpy.zeros(())}
        return {
            "step": 0,
            "weights": weights,
            "optimizer": adam.init(weights),
            "key": jax.random.key(1),
        }

    def trained(state, n_steps):
        def loss(weights, x):
            return ((x @ weights["w"] + weights["b"] - x[:, :1]) ** 2).mean()

        for _ in range(n_steps):
            key, drawn = jax.random.split(state["key"])
            x = jax.random.normal(drawn, (6, 5))
            gradient = jax.grad(loss)(state["weights"], x)
            change, optimizer = adam.update(gradient, state["optimizer"])
            weights = optax.apply_updates(state["weights"], change)
            step = state["step"] + 1
            state = {
                "step": step,
                "weights": weights,
                "optimizer": optimizer,
                "key": key,
            }
        return state

    unbroken = trained(begun(), 8)
    found = back(tmp_path, trained(begun(), 3), begun())
    ended = trained(found, 8 - found["step"])
    assert jax.tree.structure(ended) == jax.tree.structure(unbroken)
    for one, expected in zip(
        jax.tree.leaves(ended), jax.tree.leaves(unbroken), strict=True
    ):
        if isinstance(one, jax.Array) and not jax.dtypes.issubdtype(
            one.dtype, jax.dtypes.prng_key
        ):
            assert np.asarray(one).tobytes() == np.asarray(expected).tobytes()


def test_a_tracer_is_refused(tmp_path):
    jax = pytest.importorskip("jax")
    with Checkpoint(tmp_path) as checkpoint:

        @jax.jit
        def step(x):
            checkpoint.commit({"x": x})
            return x

        with pytest.raises(UnkeptValueError, match=r"state\['x'\] is a JAX tracer"):
            step(jax.numpy.ones(2))
