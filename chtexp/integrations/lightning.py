"""Dynamic sparse training in Lightning.

    trainer = lightning.Trainer(..., callbacks=[SparsityCallback(load_method("chts_n", topology="brf"), update_interval=100)])
    trainer.fit(module, data)

The masks are part of Lightning's own checkpoints, and `trainer.fit(..., ckpt_path=...)` goes on with them.
"""

from __future__ import annotations

from typing import Any

import lightning
from torch import nn

from chtexp.errors import UserError
from chtexp.integrations.common import Sparsifying, logged
from chtexp.sparse import load_training_state, training_state
from chtexp.sparse.checkpoint import ModelState


class SparsityCallback(Sparsifying, lightning.Callback):
    """Makes the module of a Lightning trainer sparse when its training begins.

    Its arguments are those of `Sparsifying`; names of layers are those in the LightningModule.
    """

    _saved: ModelState | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Make the module sparse, or go on from the checkpoint that Lightning resumes from.

        Raises:
            UserError: what `DynamicSparsity` raises; several optimizers, a training without an end, a checkpoint without masks.
        """
        if len(trainer.optimizers) != 1:
            raise UserError(f"the callback follows one optimizer, and the module has {len(trainer.optimizers)}")
        total = trainer.estimated_stepping_batches
        if total == float("inf"):
            raise UserError(
                "every density and length of a method is a part of the training: set max_steps or max_epochs"
            )
        if trainer.global_step and self._saved is None:
            raise UserError(f"the training resumes at step {trainer.global_step} from a checkpoint that has no masks")
        self.sparsity = self._made(pl_module, trainer.optimizers[0], int(total))
        if self._saved is not None:
            load_training_state(self.sparsity, self._saved)
            self._saved = None
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            average = getattr(callback, "_average_model", None)  # of Lightning's own averages
            if isinstance(average, nn.Module):
                self.sparsity.follow(average)

    def state_dict(self) -> dict[str, Any]:
        """Return model, optimizer and masks, for Lightning's checkpoint."""
        return {} if self.sparsity is None else {**training_state(self.sparsity)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember what a checkpoint has, until the training begins."""
        self._saved = ModelState(
            model=state_dict["model"], optimizer=state_dict["optimizer"], sparsity=state_dict["sparsity"]
        )

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *batch: Any, **others: Any
    ) -> None:
        """Log links, density and the share of active neurons after every topology update."""
        if (
            self.sparsity is not None
            and self.sparsity.records
            and self.sparsity.records[-1].step == self.sparsity.steps
        ):
            pl_module.log_dict(logged(self.sparsity))
