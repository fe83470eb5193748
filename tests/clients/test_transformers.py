"""The Trainer of Transformers: a mean over all that is present in a window of micro-batches."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import Trainer, TrainingArguments

import l2torch

transformers = pytest.mark.client("Transformers Trainer", "transformers")

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(10, 4, 3)), 2 * RNG.normal(size=(10, 4))
PRESENT = np.arange(4) < RNG.integers(1, 5, size=10)[:, None]  # sequences of 1 to 4 steps
LABELS = np.where(PRESENT, Y, -100.0)  # what the Trainer does not count
START = np.array([0.5, -0.25, 1.0])
RATE, DELTA = 0.1, 0.5


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.tensor(START))

    def forward(self, x):
        return {"logits": x @ self.kernel}


@transformers
@pytest.mark.parametrize("loss", [l2torch.HuberLoss(delta=DELTA), l2torch.Criterion("huber")])
def test_accumulation(tmp_path, loss):
    """`compute_loss_func` with `denominator=num_items_in_batch`, `gradient_accumulation_steps=2`: \
uneven masked micro-batches step as the one big batch by hand"""

    def compute(outputs, labels, num_items_in_batch):
        mask = labels != -100
        return loss(outputs["logits"], labels, mask=mask, denominator=num_items_in_batch)

    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        label_names=["labels"],
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
        train_sampling_strategy="sequential",
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        num_train_epochs=2,
        optim="sgd",
        learning_rate=RATE,
        lr_scheduler_type="constant",
        max_grad_norm=0,
    )
    rows = [
        {"x": torch.tensor(x), "labels": torch.tensor(y)} for x, y in zip(X, LABELS, strict=True)
    ]
    model = Linear()
    Trainer(model, arguments, train_dataset=rows, compute_loss_func=compute).train()

    k = START
    for window in [slice(0, 4), slice(4, 8), slice(8, 10)] * 2:  # the last has one micro-batch
        x, y = X[window][PRESENT[window]], Y[window][PRESENT[window]]
        k = k - RATE * np.clip(x @ k - y, -loss.delta, loss.delta) @ x / len(y)
    # float64: six steps of some thirty roundings of 1.1e-16 each, on numbers near 1.
    np.testing.assert_allclose(model.kernel.detach().numpy(), k, rtol=1e-13, atol=1e-13)
