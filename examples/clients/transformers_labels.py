"""Transformers: a regression of sequences with missing labels (NaN), accumulated over micro-batches.

The mean is that over all labels present in a window, whatever the micro-batches hold of them; the
Trainer's own regression takes the mean of their means. The collator makes NaN labels -100, so that the
Trainer counts what is present.
"""

import tempfile

import numpy as np
import torch
from torch import nn
from transformers import Trainer, TrainingArguments

import l2torch

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 10, 4)).astype("f4")
y = (x.sum(axis=-1) + 0.1 * rng.normal(size=(64, 10))).astype("f4")
y[np.arange(10) >= rng.choice([1, 10], size=(64, 1))] = np.nan
rows = [{"x": torch.tensor(a), "labels": torch.tensor(b)} for a, b in zip(x, y, strict=True)]


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.head(x)}


def trained(k: int) -> torch.Tensor:
    """The weights after two epochs of 16 sequences a step, in k micro-batches."""
    loss = l2torch.hf_loss(l2torch.Criterion("huber", nan_targets="ignore"))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            label_names=["labels"],
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
            logging_strategy="no",
            train_sampling_strategy="sequential",
            per_device_train_batch_size=16 // k,
            gradient_accumulation_steps=k,
            num_train_epochs=2,
            optim="sgd",
            learning_rate=0.5,
            lr_scheduler_type="constant",
        )
        model = Model()
        Trainer(
            model,
            arguments,
            train_dataset=rows,
            compute_loss_func=loss,
            data_collator=loss.collator(),
        ).train()
    return torch.cat([p.detach().ravel() for p in model.parameters()])


apart = (trained(8) - trained(1)).abs().max()
print(f"8 micro-batches or one batch, largest difference of a weight: {apart:.1e}")
assert apart < 8 * 160 * 2**-24  # eight steps of up to 160 float32 terms below 1
