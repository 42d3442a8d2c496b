#!/bin/sh
# Keras 3.15.1 on PyTorch 2.14.1: fit of a model without anything random, unshuffled, moves torch's global generator.
# A DataLoader takes one number from it whenever it begins to be read. Keras begins once to build the model, once for
# each epoch, and once more after an epoch that has run through. A Dropout without a seed draws from the same generator
# there. So an epoch that is begun anew in its middle, or whose data ended early, has other dropout afterwards, unless
# these draws are made up for.
# Seen: "numbers drawn by 1, 2 and 3 epochs: 3, 4, 6; by 1 epoch whose data ended early: 1"
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 torch==2.14.1 numpy==2.4.6
KERAS_BACKEND=torch "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import keras
import numpy as np
import torch


class Ones(keras.utils.PyDataset):
    """Three batches; or two, once it is said to have three."""

    def __init__(self):
        super().__init__()
        self.length = 3

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return np.ones((2, 2), "float32"), np.ones((2, 1), "float32")


class Shortened(keras.callbacks.Callback):
    def __init__(self, data):
        super().__init__()
        self.data = data

    def on_epoch_begin(self, epoch, logs=None):
        self.data.length = 2


model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="zeros")])
model.compile("sgd", "mse")


def drawn(epochs, *, is_shortened=False):
    data = Ones()
    torch.manual_seed(1)
    model.fit(data, epochs=epochs, shuffle=False, verbose=0, callbacks=[Shortened(data)] * is_shortened)
    after = torch.get_rng_state()
    torch.manual_seed(1)
    count = 0
    while not torch.equal(torch.get_rng_state(), after):
        torch.empty((), dtype=torch.int64).random_()
        count += 1
        assert count < 100
    return count


whole = ", ".join(str(drawn(epochs)) for epochs in (1, 2, 3))
seen = f"numbers drawn by 1, 2 and 3 epochs: {whole}; by 1 epoch whose data ended early: {drawn(1, is_shortened=True)}"
print(seen)
assert seen == (
    "numbers drawn by 1, 2 and 3 epochs: 3, 4, 6; by 1 epoch whose data ended early: 1"
), seen
PYTHON
