#!/usr/bin/env bash
# Keras 3.15.1 (on JAX 0.7.2): an optimiser that remembers a list of the model's weights gets them as
# variables of its own.
#
# An optimiser of one's own that sets `self.weights_seen = list(variables)` in `build` looks
# harmless. Keras watches what is set on an optimiser, and adds each variable of a list to
# `optimizer.variables`; under a name that Keras uses itself (`_trainable_variables`) it
# does not. So the optimiser's state holds the model's weights a second time: it is saved
# so, and `stateless_apply` expects them. On TensorFlow and PyTorch a training runs all the
# same. On JAX the first step that donates its buffers is refused, since two of them are one.
# A dictionary by name is taken likewise.
#
# Seen: a step: done donated twice: True
#       variables without the list 4, with the list 6, with a dictionary 6
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "keras==3.15.1" "jax==0.7.2" "numpy==2.4.6"

cat > "$folder/see.py" <<'PYTHON'
import keras
import numpy as np


class Plain(keras.optimizers.SGD):
    def build(self, variables):
        super().build(variables)


class Listing(Plain):
    def build(self, variables):
        self.weights_seen = list(variables)
        super().build(variables)


class Naming(Plain):
    def build(self, variables):
        self.weights_seen = {v.path: v for v in variables}
        super().build(variables)


def count(kind):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    optimizer = kind(learning_rate=0.1, momentum=0.9)
    optimizer.build(model.trainable_variables)
    return len(optimizer.variables)


def fit(kind):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(kind(learning_rate=0.1, momentum=0.9), loss="mse")
    try:
        model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    except Exception as error:
        return "donate the same buffer twice" in str(error)
    return "done"


print("a step:", fit(Plain), "donated twice:", fit(Listing))
print(
    f"variables without the list {count(Plain)}, with the list {count(Listing)}, "
    f"with a dictionary {count(Naming)}"
)
PYTHON

seen=$(KERAS_BACKEND=jax "$folder/venv/bin/python" "$folder/see.py" )
echo "$seen"
test "$seen" = "a step: done donated twice: True
variables without the list 4, with the list 6, with a dictionary 6"
