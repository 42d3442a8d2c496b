"""Ten models as people bring them; `benchmarks/models.py` runs them all."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers, ops

Shape = tuple[int, int, int]
Latent = Callable[[keras.KerasTensor], keras.KerasTensor]


def _ends(input_shape: Shape, latent: Latent) -> keras.Model:
    """Return an autoencoder around ``latent``, which makes the vector of the features."""
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(8, 3, 2, "same", activation="relu")(
        layers.Rescaling(1 / 255)(inputs)
    )
    z = latent(layers.Flatten()(x))
    side = input_shape[0] // 2
    y = layers.Reshape((side, side, 4))(
        layers.Dense(side * side * 4, activation="relu")(z)
    )
    outputs = layers.Conv2DTranspose(
        input_shape[2], 3, 2, "same", activation="sigmoid"
    )(y)
    return keras.Model(inputs, outputs)


def _plain(input_shape: Shape, latent_dim: int, **dense: str) -> keras.Model:
    return _ends(input_shape, layers.Dense(latent_dim, name="z", **dense))


def _compiled(
    model: keras.Model, optimizer: object, loss: object = "mse"
) -> keras.Model:
    model.compile(optimizer, loss)
    return model


def stock_loss(input_shape: Shape, latent_dim: int) -> keras.Model:
    """Return one with Huber's loss and a penalty on the weights."""
    model = _plain(input_shape, latent_dim, kernel_regularizer="l2")
    return _compiled(model, keras.optimizers.SGD(0.5, momentum=0.9), "huber")


def several_inputs(input_shape: Shape, latent_dim: int) -> keras.Model:
    """Return one of images and a number each."""
    inputs = keras.Input(input_shape), keras.Input((1,))
    x = layers.Concatenate()([layers.Flatten()(inputs[0]), inputs[1]])
    z = layers.Dense(latent_dim, name="z")(x)
    n_values = input_shape[0] * input_shape[1] * input_shape[2]
    return keras.Model(inputs, layers.Reshape(input_shape)(layers.Dense(n_values)(z)))


class Scale(layers.Layer):
    """A layer of one's own."""

    def __init__(self, factor: float = 2.0, **given: object) -> None:
        super().__init__(**given)
        self.factor = factor

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return the scaled values."""
        return x * self.factor

    def get_config(self) -> dict[str, object]:
        """Return what builds it again."""
        return {**super().get_config(), "factor": self.factor}


def custom_layer(input_shape: Shape, latent_dim: int) -> keras.Model:
    """Return one with a layer of `Scale`."""
    z = layers.Dense(latent_dim, name="z")
    model = _ends(input_shape, lambda x: z(Scale(3.0)(x)))
    return _compiled(model, keras.optimizers.SGD(0.1))


def lambda_layer(input_shape: Shape, latent_dim: int) -> keras.Model:
    """Return one with a function as a layer."""
    z = layers.Dense(latent_dim, name="z")
    model = _ends(input_shape, lambda x: z(layers.Lambda(lambda t: t * 3.0)(x)))
    return _compiled(model, keras.optimizers.SGD(0.1))


class Draw(layers.Layer):
    """Draws from a Gaussian, and adds its distance from the standard one to the loss."""

    def __init__(self, **given: object) -> None:
        super().__init__(**given)
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, pair: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Return one draw."""
        mean, log_variance = pair
        distance = 1 + log_variance - ops.square(mean) - ops.exp(log_variance)
        self.add_loss(-0.0005 * ops.mean(distance))
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


def vae(input_shape: Shape, latent_dim: int) -> keras.Model:
    """Return a variational one: what it draws depends on the micro-batch."""
    halves = layers.Dense(latent_dim), layers.Dense(latent_dim)
    draw = Draw(name="z")
    model = _ends(input_shape, lambda x: draw([half(x) for half in halves]))
    return _compiled(model, keras.optimizers.SGD(0.1))


def average(input_shape: Shape, latent_dim: int) -> keras.Model:
    """Return one that ends with an average of its weights."""
    own = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9)
    return _compiled(_plain(input_shape, latent_dim), own)


def accumulation(input_shape: Shape, latent_dim: int) -> keras.Model:
    """Return one that steps once in three batches."""
    own = keras.optimizers.SGD(0.5, gradient_accumulation_steps=3)
    return _compiled(_plain(input_shape, latent_dim), own, "mae")


def schedule(input_shape: Shape, latent_dim: int) -> keras.Model:
    """Return one whose rate decays with the steps."""
    rate = keras.optimizers.schedules.ExponentialDecay(0.5, 2, 0.7)
    own = keras.optimizers.SGD(rate, global_clipnorm=0.05)
    return _compiled(_plain(input_shape, latent_dim), own, "binary_crossentropy")


def mixed_precision(input_shape: Shape, latent_dim: int) -> keras.Model:
    """Return one of float16, with a loss scale."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = _plain(input_shape, latent_dim)
        return _compiled(model, keras.optimizers.SGD(0.5))
    finally:
        keras.mixed_precision.set_global_policy("float32")


def nested(input_shape: Shape, latent_dim: int) -> keras.Model:
    """Return one whose encoder and decoder are models of their own."""
    whole = _plain(input_shape, latent_dim)
    encoder = keras.Model(whole.inputs, whole.get_layer("z").output, name="enc")
    decoder = keras.Model(whole.get_layer("z").output, whole.outputs, name="dec")
    inputs = keras.Input(input_shape)
    return _compiled(
        keras.Model(inputs, decoder(encoder(inputs))), keras.optimizers.SGD(0.5)
    )


def sum_of_squares(input_shape: Shape, latent_dim: int) -> keras.Model:
    """Return one whose loss is a sum over the batch: in parts another training."""
    loss = keras.losses.MeanSquaredError(reduction="sum")
    return _compiled(_plain(input_shape, latent_dim), "sgd", loss)


NAMES = (
    "stock_loss", "several_inputs", "custom_layer", "lambda_layer", "vae", "average",
    "accumulation", "schedule", "mixed_precision", "nested", "sum_of_squares",
)  # fmt: skip
