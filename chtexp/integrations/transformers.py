"""Dynamic sparse training in `transformers.Trainer`.

    trainer = Trainer(model, arguments, ..., callbacks=[SparsityCallback(load_method("llama/chts"), update_interval=100)])
    trainer.train()

The masks are saved in the folder of every checkpoint (`sparsity.pt`); `trainer.train(resume_from_checkpoint=...)` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from chtexp.config.method import Method
from chtexp.errors import UserError
from chtexp.integrations.settings import Settings, logged
from chtexp.sparse import DynamicSparsity, load_training_state, training_state
from chtexp.sparse.checkpoint import ModelState, plain_weights
from chtexp.sparse.wiring import Chain, plain_model, plain_state

FILE = "sparsity.pt"


class SparsityCallback(TrainerCallback):
    """Makes the model of a Trainer sparse when its training begins.

    Args:
        method: as `load_method` returns it. Its `weight_init` draws the sparse weights anew; `own` keeps trained ones.
        update_interval: optimizer steps between two topology updates.
        seed: decides every random choice.
        layers: the names of the sparse layers; None: all `nn.Linear`s but the last.
        chains: which layers feed which, for methods that percolate; None: as the model shows it.
        features: [N, F] training inputs, for the topology `csti`.
        resume_from: the checkpoint's folder that the Trainer resumes from, where that does not lie in `output_dir`.

    Attributes:
        sparsity: of the model; None before the training begins.
    """

    def __init__(
        self,
        method: Method,
        *,
        update_interval: int,
        seed: int = 0,
        layers: Sequence[str] | None = None,
        chains: Sequence[Chain] | None = None,
        features: Tensor | None = None,
        resume_from: Path | str | None = None,
    ) -> None:
        self._resume_from = resume_from
        self._settings = Settings(method, update_interval, seed, layers, chains, features)
        self.sparsity: DynamicSparsity | None = None

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
        self.sparsity = self._settings.made(model, optimizer, state.max_steps)
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
