"""What the plan of a model has measured, as values that a notebook shows."""

from __future__ import annotations

import html

import msgspec

from lowmem.base.units import format_budget, format_bytes, format_seconds

_HEADER = ("batch", "RAM peak", "VRAM peak", "", "predicted before", "seconds")


class TriedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One trial: a few steps at one batch, in a process of its own.

    Attributes
    ----------
    ram_peak_bytes
        Of that process; of one that was stopped, when it was.
    vram_peak_bytes
        None where no device was used.
    outcome
        ``held``; ``above``, which ran to its end and left too little room; ``stopped``
        at the budget; ``disturbed`` by memory that others took, so that it says nothing.
    predicted_ram_bytes
        What the trials before it had said of it; None before there were two.
    where
        The line of yours at which it was stopped; None where that is not known.
    """

    batch_size: int
    ram_peak_bytes: int
    vram_peak_bytes: int | None
    outcome: str
    predicted_ram_bytes: int | None
    seconds: float
    where: str | None = None


class ModelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a model needs at a batch size, and the largest batch that a budget holds.

    Attributes
    ----------
    use
        ``training`` or ``inference``.
    device
        ``cpu`` or ``gpu``. On the CPU all that is said of VRAM is None.
    batch_size, fits
        What was asked about, and whether it holds.
    predicted_ram_bytes
        Its peak by a line through trials of other batches; None if fewer than two ran to
        their end.
    ram_peak_bytes, vram_peak_bytes
        Its peak as measured; None if its trial was stopped, or a smaller batch was.
    largest_batch_size
        The largest batch whose own trial held; 0 if none did, see ``reason``.
    largest_ram_peak_bytes
        The peak of that trial.
    smallest_missed_batch_size
        The smallest batch whose trial did not hold; None if all did.
    trials
        In the order in which they were run.
    seconds
        Of the whole plan.
    """

    model: str
    use: str
    device: str
    ram_budget_bytes: int
    vram_budget_bytes: int | None
    batch_size: int
    fits: bool
    predicted_ram_bytes: int | None
    ram_peak_bytes: int | None
    vram_peak_bytes: int | None
    largest_batch_size: int
    largest_ram_peak_bytes: int | None
    smallest_missed_batch_size: int | None
    reason: str
    trials: tuple[TriedBatch, ...]
    seconds: float

    @property
    def prediction_error(self) -> float | None:
        """How far the predicted peak is from the measured one, as a share of it."""
        if self.predicted_ram_bytes is None or not self.ram_peak_bytes:
            return None
        return self.predicted_ram_bytes / self.ram_peak_bytes - 1

    def __repr__(self) -> str:  # type: ignore[explicit-override]
        """Return the result, and a line for each trial."""
        rows = ("  ".join(filter(None, row)) for row in self._rows())
        return "\n".join([self._said(), *(f"  {row}" for row in rows)])

    def _repr_html_(self) -> str:
        lines = [("th", _HEADER), *(("td", row) for row in self._rows())]
        cells = (
            "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
            for tag, row in lines
        )
        table = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"<p>{html.escape(self._said())}</p><table>{table}</table>"

    def _said(self) -> str:
        verdict = "fits" if self.fits else "does not fit"
        largest = f"largest batch {self.largest_batch_size} ({self.reason})"
        return (
            f"{self.model}: {self.use} at batch {self.batch_size} {verdict} "
            f"{format_budget(self.ram_budget_bytes)}; {largest}; "
            f"{len(self.trials)} trials in {format_seconds(self.seconds)}"
        )

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                str(one.batch_size),
                format_bytes(one.ram_peak_bytes),
                _size(one.vram_peak_bytes),
                one.outcome,
                _size(one.predicted_ram_bytes),
                f"{one.seconds:.1f}",
            )
            for one in self.trials
        ]


def _size(n_bytes: int | None) -> str:
    return "" if n_bytes is None else format_bytes(n_bytes)


def model_plan_from_json(text: str) -> ModelPlan:
    """Return what ``lowmem plan --model --json`` has printed."""
    return msgspec.json.decode(text, type=ModelPlan)
