"""An optimiser that gathers the gradients of a batch from its parts, then steps once.

Keras' own ``gradient_accumulation_steps`` is not used. It counts calls, so a smaller last
batch needs calls without rows; it knows no weights, so parts of unequal size need them in
the loss, where not every loss takes them; it does nothing beneath a loss scale; and a
model may have it as part of its own recipe. Here parts are gathered in front of whatever
optimiser the model has: that one sees one gradient a batch, the batch's own.

A compiled step has one branch: the caller says before each part whether it is the last,
and keeps a compiled step for either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import ops

if TYPE_CHECKING:
    from collections.abc import Sequence

    Values = Sequence[keras.KerasTensor]


class InParts(keras.optimizers.Optimizer):
    """The optimiser of a model whose batches come in parts.

    Parameters
    ----------
    inner
        The model's own optimiser.

    Attributes
    ----------
    is_last
        Whether the next part is the last of its batch. Read while a step is compiled.
    """

    def __init__(self, inner: keras.optimizers.Optimizer) -> None:
        super().__init__(learning_rate=0.0, name="in_parts")
        self.inner = inner
        self.is_last = False

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the places for gradients, and the own optimiser's variables."""
        self.part_weight = self.add_variable(
            shape=(), initializer="ones", dtype="float32", name="part_weight"
        )
        self._gathered = [
            self.add_variable_from_reference(variable, name="gathered")
            for variable in variables
        ]
        self._places = {id(variable): at for at, variable in enumerate(variables)}
        if not self.inner.built:
            self.inner.build(variables)
        super().build(variables)

    @property
    def variables(self) -> list[keras.Variable]:
        """Those of this optimiser, then the inner one's."""
        return [*super().variables, *self.inner.variables]

    @property
    def gathered(self) -> Sequence[keras.Variable]:
        """The sum of the weighted gradients of the parts since the last step."""
        return self._gathered

    def scale_loss(self, loss: keras.KerasTensor) -> keras.KerasTensor:
        """Weight the loss of a part by its share of the batch."""
        weighted = ops.multiply(loss, ops.cast(self.part_weight, loss.dtype))
        return self.inner.scale_loss(weighted)

    def apply(
        self,
        grads: Values,
        trainable_variables: Sequence[keras.Variable] | None = None,
    ) -> None:
        """Gather the gradients of a part; of the last one, let the inner one step."""
        if not self.built:
            self.build(list(trainable_variables or ()))
        # Not kept here: Keras takes each list of variables for the optimiser's own.
        kept = self._gathered
        if trainable_variables is not None:
            kept = [self._gathered[self._places[id(v)]] for v in trainable_variables]
        sums = [
            None if grad is None else ops.add(place, grad)
            for place, grad in zip(kept, grads, strict=True)
        ]
        if self.is_last:
            self.inner.apply(sums, trainable_variables)
        for place, total in zip(kept, sums, strict=True):
            if total is not None:
                place.assign(ops.zeros_like(total) if self.is_last else total)

    def stateless_apply(
        self, optimizer_variables: Values, grads: Values, trainable_variables: Values
    ) -> tuple[Values, Values]:
        """Do the same with values, as JAX wants it."""
        ours = super().variables
        n_own = len(ours)
        own, inner = list(optimizer_variables[:n_own]), optimizer_variables[n_own:]
        at = {id(variable): number for number, variable in enumerate(ours)}
        kept = [at[id(place)] for place in self._gathered]
        sums = [ops.add(own[n], grad) for n, grad in zip(kept, grads, strict=True)]
        values = trainable_variables
        if self.is_last:
            values, inner = self.inner.stateless_apply(inner, sums, values)
        for number, total in zip(kept, sums, strict=True):
            own[number] = ops.zeros_like(total) if self.is_last else total
        return values, [*own, *inner]

    @property
    def learning_rate(self) -> keras.KerasTensor:
        """The inner one's."""
        return self.inner.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.inner.learning_rate = rate

    @property
    def iterations(self) -> keras.Variable:
        """The inner one's: it counts batches."""
        return self.inner.iterations

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Let the inner one end its training."""
        self.inner.finalize_variable_values(var_list)
