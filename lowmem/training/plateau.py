"""What a loss that no longer improves leads to: smaller steps, or an early end.

Both are values that each epoch turns into the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """How long the watched loss has failed to improve at the present step size.

    Keras' own `ReduceLROnPlateau` keeps this in attributes that no checkpoint holds.
    The rule is its rule, with ``min_delta=0``.

    Attributes
    ----------
    patience
        Epochs without improvement after which the learning rate is reduced; 0 for never.
    factor
        What it is multiplied by.
    best
        Smallest loss so far; None before the first epoch.
    waited
        Epochs since then, or since the last reduction.
    """

    patience: int = 0
    factor: float = 0.1
    best: float | None = None
    waited: int = 0

    @property
    def is_due(self) -> bool:
        """Whether the learning rate is to be reduced now; then `begin_again`."""
        return 0 < self.patience <= self.waited

    def next_after(self, *, loss: float) -> Plateau:
        """Return the state after an epoch."""
        if self.best is None or loss < self.best:
            return replace(self, best=loss, waited=0)
        return replace(self, waited=self.waited + 1)

    def begin_again(self) -> Plateau:
        """Return the state after a reduction."""
        return replace(self, waited=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """How long the watched loss has failed to improve.

    Attributes
    ----------
    patience
        Epochs without improvement after which training ends; 0 never ends it.
    best
        Smallest loss so far; None before the first epoch.
    best_epoch
        The epoch that reached it; None before the first.
    waited
        Epochs since then.
    """

    patience: int
    best: float | None = None
    best_epoch: int | None = None
    waited: int = 0

    @property
    def is_over(self) -> bool:
        """Whether training should end."""
        return 0 < self.patience <= self.waited

    def next_after(self, *, epoch: int, loss: float) -> EarlyStopping:
        """Return the state after an epoch; it is the best one if ``waited`` is 0."""
        if self.best is None or loss < self.best:
            return replace(self, best=loss, best_epoch=epoch, waited=0)
        return replace(self, waited=self.waited + 1)
