"""A classifier of labelled images: augmentation, dropout, a schedule and early stopping.

Cut wherever it may be, it ends with the weights of a training that was never cut. What is
drawn is keyed: the order by (seed, epoch), a change of an image by (seed, epoch, row).
Dropout draws from a state, which is one of the variables that are committed.
"""

from pathlib import Path

import lowmem

BATCH = 32


def changed(images, rows, seed, epoch):
    """Return images mirrored and moved by chance."""
    import numpy as np

    made = np.empty_like(images)
    for place, row in enumerate(rows):
        draw = np.random.default_rng([seed, epoch, row])
        image = images[place][:, :: draw.choice([-1, 1])]
        made[place] = np.roll(image, draw.integers(-4, 5, 2), axis=(0, 1))
    return made


def order_of(rows, seed, epoch):
    """Return the rows of an epoch, in whole batches: one shape is compiled once."""
    import numpy as np

    order = np.random.default_rng([seed, epoch]).permutation(rows)
    return order[: len(order) // BATCH * BATCH]


def build(shape, n_classes, n_steps, seed):
    """Return a compiled model whose step size falls to zero in ``n_steps`` steps."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    image = keras.Input(shape)
    x = layers.Rescaling(1 / 255)(image)
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Dense(n_classes)(x))
    rate = keras.optimizers.schedules.CosineDecay(3e-3, n_steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss)
    model.optimizer.build(model.trainable_variables)
    return model


@lowmem.job(
    unit="images", uses_keras=True, outputs=["classifier.weights.h5", "history.csv"]
)
def classifier(ctx, data: Path, epochs: int = 10, patience: int = 2):
    """Train a classifier of labelled images."""
    import numpy as np

    from lowmem.base import UsageError
    from lowmem.stores import split_rows
    from lowmem.training import keras_session

    def validation():
        """Return the mean loss of what was held out, and the share that is right."""
        loss = right = 0
        held_out = images.of_rows(split.validation[: n_held_out * BATCH])
        for number in range(n_held_out):
            x, y = held_out[number]
            logits = model.predict_on_batch(x).astype(float)
            of_class = np.take_along_axis(logits, y[:, None], axis=1)[:, 0]
            loss += float((np.logaddexp.reduce(logits, axis=1) - of_class).sum())
            right += int((logits.argmax(axis=1) == y).sum())
        return loss / (n_held_out * BATCH), right / (n_held_out * BATCH)

    with keras_session(seed=ctx.seed, device=ctx.device):
        images = lowmem.ZarrSequence(data, labels="labels", batch_size=BATCH)
        split = split_rows(data, n_rows=images.n_samples, fraction=0.2)
        n_steps = len(split.training) // BATCH
        n_held_out = len(split.validation) // BATCH
        if not (n_steps and n_held_out):
            raise UsageError(
                f"{data} has {images.n_samples} images, expected some {6 * BATCH}: one in "
                "five is held out, and a batch is whole. Give more, or a smaller BATCH."
            )
        shape, n_classes = images[0][0].shape[1:], len(images.class_names)
        model = build(shape, n_classes, epochs * n_steps, ctx.seed)
        at = ctx.restore(model=model, best=[], history=[], epoch=0, step=0, waited=0)
        while at.epoch < epochs and not 0 < patience <= at.waited:
            order = order_of(split.training, ctx.seed, at.epoch)
            batches = images.of_rows(order)
            for step in range(at.step, n_steps):
                x, y = batches[step]
                rows = order[step * BATCH : (step + 1) * BATCH]
                model.train_on_batch(changed(x, rows, ctx.seed, at.epoch), y)
                at.step = step + 1
                done = at.epoch * n_steps + step + 1
                ctx.progress(done * BATCH, epochs * n_steps * BATCH)
                yield ctx.commit(items=BATCH, **vars(at))
            loss, right = validation()
            is_best = loss < min([row[0] for row in at.history], default=np.inf)
            at.waited = 0 if is_best else at.waited + 1
            if is_best:
                at.best = [weights.copy() for weights in model.get_weights()]
            at.history.append([loss, right])
            at.epoch, at.step = at.epoch + 1, 0
            yield ctx.commit(**vars(at))
        model.set_weights(at.best)
        model.save_weights(ctx.staging / "classifier.weights.h5")
        images.close()
    np.savetxt(ctx.staging / "history.csv", at.history, header="loss,right")
    summary = {"epochs": at.epoch, "classes": list(images.class_names)}
    return lowmem.Result(summary=summary)
