"""Other people's trainers train a sparse network, save it, and go on from what they saved as if they had never stopped."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.sparse import DynamicSparsity, load_method

pytest.importorskip("accelerate", reason="accelerate is not installed")
pytest.importorskip("lightning", reason="lightning is not installed")

IGNORED = pytest.mark.filterwarnings("ignore")  # the trainers' own
METHODS = ["set", "rigl", "chts_n"]


class Net(nn.Module):
    """A perceptron that computes its own loss, as Hugging Face's models do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.body(inputs)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def rows(count: int = 64) -> list[dict[str, Tensor]]:
    inputs = torch.randn(count, 20, generator=torch.Generator().manual_seed(1))
    return [{"inputs": row, "labels": (row[0] * row[1] > 0).long()} for row in inputs]


def method(name: str) -> Any:
    return load_method(name, sparsity=0.8, topology="er")


def check(sparsity: DynamicSparsity | None, steps: int) -> None:
    assert sparsity is not None
    assert sparsity.steps == steps
    assert len(sparsity.records) >= 2
    for layer in sparsity.layers:
        assert layer.weight.any()
        assert not (layer.weight.ne(0) & ~layer.mask_OI).any()


# ---------------------------------------------------------------------- transformers


def hugging_face(folder: Path, name: str, model: Net, **settings: Any) -> Any:
    from transformers import Trainer, TrainingArguments

    from chtexp.integrations.transformers import SparsityCallback

    arguments = TrainingArguments(
        str(folder), max_steps=24, per_device_train_batch_size=8, learning_rate=1e-2, save_steps=10, logging_steps=5,
        report_to=[], use_cpu=True, disable_tqdm=True, **settings,
    )  # fmt: skip
    callback = SparsityCallback(method(name), update_interval=4)
    return Trainer(model, arguments, train_dataset=rows(), callbacks=[callback]), callback


@IGNORED
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "settings", [{}, {"bf16": True}, {"gradient_accumulation_steps": 2, "max_grad_norm": 0.1}], ids=str
)
def test_transformers(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    model = net()
    trainer, callback = hugging_face(tmp_path / "whole", name, model, **settings)
    trainer.train()
    check(callback.sparsity, 24)
    shutil.copytree(tmp_path / "whole" / "checkpoint-10", tmp_path / "stopped" / "checkpoint-10")
    again = net()
    trainer, resumed = hugging_face(tmp_path / "stopped", name, again, **settings)
    trainer.train(resume_from_checkpoint=True)
    check(resumed.sparsity, 24)
    assert resumed.sparsity.records == callback.sparsity.records
    assert all(map(torch.equal, model.parameters(), again.parameters()))


@IGNORED
def test_transformers_without_the_masks_of_a_checkpoint(tmp_path: Path) -> None:
    trainer, _ = hugging_face(tmp_path, "set", net())
    trainer.train()
    (tmp_path / "checkpoint-10" / "sparsity.pt").unlink()
    trainer, _ = hugging_face(tmp_path, "set", net())
    with pytest.raises(
        UserError, match=r"resumes at step 10, and its masks are not there: no .*checkpoint-10/sparsity.pt"
    ):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-10"))


@IGNORED
def test_transformers_resumes_from_the_checkpoint_that_was_named(tmp_path: Path) -> None:
    whole, models = {}, {}
    for name, seed in (("mine", 0), ("other", 1)):
        trainer, callback = hugging_face(tmp_path / name, "set", models.setdefault(name, net()))
        callback._seed = seed
        trainer.train()
        whole[name] = [parameter.detach().clone() for parameter in models[name].parameters()]
    named = str(tmp_path / "mine" / "checkpoint-10")
    trainer, _ = hugging_face(tmp_path / "other", "set", net())
    with pytest.raises(UserError, match="is of another checkpoint than the one whose weights the Trainer has loaded"):
        trainer.train(resume_from_checkpoint=named)
    trainer, callback = hugging_face(tmp_path / "other", "set", model := net())
    callback._resume_from = named
    trainer.train(resume_from_checkpoint=named)
    assert all(map(torch.equal, model.parameters(), whole["mine"]))
    assert {"density", "links", "anp"} <= trainer.state.log_history[0].keys()


# ---------------------------------------------------------------------- Lightning


def lit(model: Net) -> Any:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def training_step(self, batch: dict[str, Tensor]) -> Tensor:
            return self.net(**batch)["loss"]

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
            return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)]

    return Module()


def lightning_trainer(folder: Path, name: str, **settings: Any) -> Any:
    import lightning
    from lightning.pytorch.callbacks import ModelCheckpoint

    from chtexp.integrations.lightning import SparsityCallback

    callback = SparsityCallback(method(name), update_interval=4)
    saving = ModelCheckpoint(folder, save_top_k=-1, every_n_train_steps=8, filename="{step}")
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=3, logger=False, callbacks=[callback, saving], enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, **settings,
    )  # fmt: skip
    return trainer, callback


def loader() -> Any:
    return torch.utils.data.DataLoader(rows(), batch_size=8)


@IGNORED
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "settings", [{}, {"precision": "bf16-mixed"}, {"gradient_clip_val": 0.1}, {"accumulate_grad_batches": 2}], ids=str
)
def test_lightning(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    steps = 24 // settings.get("accumulate_grad_batches", 1)
    module = lit(net())
    trainer, callback = lightning_trainer(tmp_path, name, **settings)
    trainer.fit(module, loader())
    check(callback.sparsity, steps)
    if steps < 24:
        return  # an epoch that ends within an accumulation is not resumed by Lightning itself
    again = lit(net())
    trainer, resumed = lightning_trainer(tmp_path / "again", name, **settings)
    trainer.fit(again, loader(), ckpt_path=tmp_path / "step=16.ckpt")
    check(resumed.sparsity, steps)
    assert resumed.sparsity.records == callback.sparsity.records
    assert all(map(torch.equal, module.parameters(), again.parameters()))


@IGNORED
@pytest.mark.parametrize("kind", ["EMAWeightAveraging", "StochasticWeightAveraging"])
def test_lightnings_own_averages_follow_the_links(kind: str, tmp_path: Path) -> None:
    from lightning.pytorch import callbacks

    trainer, callback = lightning_trainer(tmp_path, "set")
    average = getattr(callbacks, kind)(
        **({"decay": 0.9} if kind.startswith("EMA") else {"swa_lrs": 1e-2, "swa_epoch_start": 1})
    )
    trainer.callbacks.append(average)
    module = lit(net())
    trainer.fit(module, loader())
    for layer in callback.sparsity.layers:
        assert not (layer.weight.ne(0) & ~layer.mask_OI).any()


@IGNORED
def test_lightning_needs_an_end(tmp_path: Path) -> None:
    trainer, _ = lightning_trainer(tmp_path, "set")
    trainer.fit_loop.max_epochs = -1
    with pytest.raises(UserError, match="set max_steps or max_epochs"):
        trainer.fit(lit(net()), loader())


# ---------------------------------------------------------------------- Accelerate


@IGNORED
@pytest.mark.parametrize("name", METHODS)
def test_accelerate(name: str) -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model, optimizer, batches = accelerator.prepare(model, optimizer, loader())
    sparsity = DynamicSparsity(model, optimizer, method(name), total_steps=12, update_interval=3, seed=0)
    for _ in range(3):
        for batch in batches:
            with accelerator.accumulate(model):
                accelerator.backward(model(**batch)["loss"])
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
    check(sparsity, 12)
