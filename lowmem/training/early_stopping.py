"""When to stop early: a value that each epoch turns into the next."""

from __future__ import annotations

from dataclasses import dataclass, replace


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
