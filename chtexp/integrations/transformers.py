"""Dynamic sparse training in `transformers.Trainer`.

    trainer = Trainer(model, arguments, ..., callbacks=[SparsityCallback(load_method("llama/chts"), update_interval=100)])
    trainer.train()

The masks are saved in the folder of every checkpoint (`sparsity.pt`); `trainer.train(resume_from_checkpoint=...)` reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from chtexp.config.method import Method
from chtexp.errors import UserError
from chtexp.integrations.common import Sparsifying, logged
from chtexp.sparse import load_training_state, training_state
from chtexp.sparse.checkpoint import ModelState, plain_weights
from chtexp.sparse.wiring import plain_model, plain_state

FILE = "sparsity.pt"


class SparsityCallback(Sparsifying, TrainerCallback):
    """Makes the model of a Trainer sparse when its training begins.

    Args:
        method: as of `Sparsifying`, whose further arguments are taken by name.
        resume_from: the checkpoint's folder that the Trainer resumes from, where that does not lie in `output_dir`.
        others: as of `Sparsifying`.
    """

    def __init__(self, method: Method, *, resume_from: Path | str | None = None, **others: Any) -> None:
        super().__init__(method, **others)
        self._resume_from = resume_from

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        **others: Any,
    ) -> None:
        """Make the model sparse, or go on from the checkpoint that the Trainer resumes from.

        Raises:
            UserError: what `DynamicSparsity` raises, or the checkpoint has no masks.
        """
        saved = self._saved(args, state, model) if state.global_step else None
        self.sparsity = self._made(model, optimizer, state.max_steps)
        if saved is not None:
            load_training_state(self.sparsity, saved)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Save the masks beside the checkpoint that the Trainer has just written."""
        if self.sparsity is not None and state.is_world_process_zero:
            torch.save(training_state(self.sparsity), _folder(args, state) / FILE)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        logs: dict[str, float],
        **others: Any,
    ) -> None:
        """Add links, density and the share of active neurons to the log."""
        if self.sparsity is not None:
            logs.update(logged(self.sparsity))
            state.log_history[-1].update(logged(self.sparsity))  # a copy that the Trainer has made already

    def _saved(self, args: TrainingArguments, state: TrainerState, model: nn.Module) -> ModelState:
        """The masks of the checkpoint that the Trainer has resumed from; it does not say where that lies."""
        path = Path(self._resume_from) / FILE if self._resume_from else _folder(args, state) / FILE
        if not path.exists():
            raise UserError(
                f"the training resumes at step {state.global_step}, and its masks are not there: no {path}; "
                "SparsityCallback(..., resume_from=FOLDER) says where they are"
            )
        saved: ModelState = torch.load(path, map_location=args.device, weights_only=True)
        loaded = plain_state(plain_model(model))
        if not all(
            torch.equal(value.to(loaded[name].device), loaded[name]) for name, value in plain_weights(saved).items()
        ):
            raise UserError(
                f"{path} is of another checkpoint than the one whose weights the Trainer has loaded; "
                "SparsityCallback(..., resume_from=FOLDER) says which"
            )
        return saved


def _folder(args: TrainingArguments, state: TrainerState) -> Path:
    """The checkpoint's folder; a search of hyperparameters has one of its own for each trial."""
    root, name = Path(str(args.output_dir)), f"checkpoint-{state.global_step}"
    found = [path for path in (root / name, *root.glob(f"run-*/{name}")) if path.is_dir()]
    return max(found, key=lambda path: path.stat().st_mtime) if found else root / name
