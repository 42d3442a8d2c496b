"""The training of `fit_run.py` in PyTorch, by Lightning with a plain loader.

    python fit_lightning.py FOLDER

It saves every `EVERY` steps and goes on from `last`, as Lightning's pages say. What the
losses of the epochs were is kept in the checkpoint, since Lightning keeps no history.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from fit import BATCH, EPOCHS, N_ROWS
from lightning.pytorch.callbacks import ModelCheckpoint

N_FEATURES, EVERY, SEED = 64, 10, 1


class Classifier(lightning.LightningModule):
    """The same layers, loss and optimiser; notes each step, whatever becomes of it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        nn = torch.nn
        self.layers = nn.Sequential(
            nn.Linear(N_FEATURES, 256),
            nn.ReLU(),
            nn.BatchNorm1d(256),
            nn.Dropout(0.3),
            nn.Linear(256, 10),
        )
        self.path = path
        self.losses: list[float] = []

    def training_step(self, batch: Any, _: int) -> Any:  # noqa: ANN401 - tensors
        """Return the loss of a batch."""
        x, y = batch
        loss = torch.nn.functional.cross_entropy(self.layers(x), y)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """Return Adam as Keras sets it."""
        return torch.optim.Adam(self.parameters(), lr=1e-3, eps=1e-7)

    def on_train_start(self) -> None:
        """Note that the process has started up."""
        self._note("begin")

    def on_train_batch_end(self, *_: object) -> None:
        """Note a step."""
        self._note("step")

    def on_train_epoch_end(self) -> None:
        """Keep the loss of the epoch."""
        self.losses.append(float(self.trainer.callback_metrics["loss"]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the losses so far."""
        checkpoint["losses"] = self.losses

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Return to them."""
        self.losses = list(checkpoint["losses"])

    def _note(self, word: str) -> None:
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(f"{word} {time.time():.3f}\n")


def main(folder: Path) -> None:
    """Train, going on from what the folder holds."""
    lightning.seed_everything(SEED, verbose=False)
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(N_ROWS, N_FEATURES)).astype("float32")
    y = rng.integers(0, 10, size=N_ROWS)
    rows = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    model = Classifier(folder / "steps.txt")
    saving = ModelCheckpoint(
        folder / "lightning", every_n_train_steps=EVERY, save_last=True
    )
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        deterministic=True,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[saving],
    )
    loader = torch.utils.data.DataLoader(rows, batch_size=BATCH, shuffle=True)
    trainer.fit(model, loader, ckpt_path="last")
    weights = [value.numpy() for value in model.state_dict().values()]
    np.savez(folder / "end.npz", *weights, losses=model.losses)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
