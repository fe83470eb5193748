"""The Trainer of Transformers: a mean over all that is present in a window of micro-batches."""

import os
import subprocess
import sys
from pathlib import Path

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

    found = trained(tmp_path, compute, LABELS, num_train_epochs=2)
    k = START
    for window in [slice(0, 4), slice(4, 8), slice(8, 10)] * 2:  # the last has one micro-batch
        x, y = X[window][PRESENT[window]], Y[window][PRESENT[window]]
        k = k - RATE * np.clip(x @ k - y, -loss.delta, loss.delta) @ x / len(y)
    # float64: six steps of some thirty roundings of 1.1e-16 each, on numbers near 1.
    np.testing.assert_allclose(found, k, rtol=1e-13, atol=1e-13)


def trained(tmp_path, compute, labels, num_train_epochs=1, **more):
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
        num_train_epochs=num_train_epochs,
        optim="sgd",
        learning_rate=RATE,
        lr_scheduler_type="constant",
        max_grad_norm=1e9,
    )
    rows = [
        {"x": torch.tensor(x), "labels": torch.tensor(y)} for x, y in zip(X, labels, strict=True)
    ]
    model = Linear()
    Trainer(model, arguments, train_dataset=rows, compute_loss_func=compute, **more).train()
    return model.kernel.detach().numpy()


@transformers
@pytest.mark.parametrize("missing", ["-100", "NaN"])
def test_hf_loss(tmp_path, missing, splits):
    """`compute_loss_func=l2torch.hf_loss(criterion)`, missing labels being {missing}: uneven \
micro-batches, the short last window too, step as the one big batch by hand"""
    k = START
    for window in [slice(0, 4), slice(4, 8), slice(8, 10)]:
        x, y = X[window][PRESENT[window]], Y[window][PRESENT[window]]
        k = k - RATE * np.clip(x @ k - y, -DELTA, DELTA) @ x / len(y)
    loss = l2torch.hf_loss(
        l2torch.Criterion({"name": "Huber", "delta": DELTA}, nan_targets="ignore")
    )
    labels, more = LABELS, {}
    if missing == "NaN":
        labels, more = np.where(PRESENT, Y, np.nan), {"data_collator": loss.collator()}
    found = trained(tmp_path, loss, labels, **more)
    np.testing.assert_allclose(found, k, rtol=1e-13, atol=1e-13)

    def mean(outputs, labels, num_items_in_batch):
        mask = labels != -100
        return loss.criterion(outputs["logits"], labels, mask=mask) / 2  # as without num_items

    alone = trained(tmp_path, mean, LABELS)
    splits(
        "Transformers Trainer",
        "5 micro-batches, the last window short (gradient column: all steps)",
        None,
        (START - found, START - k),
        (START - alone, START - k),
    )


@transformers
def test_hf_loss_on_two_ranks(tmp_path, splits):
    """`hf_loss` under torchrun: two ranks, micro-batches of one row with NaN labels, step as one"""
    labels, k = np.where(PRESENT, Y, np.nan)[:8], START
    for window in (slice(0, 4), slice(4, 8)):
        x, y = X[window][PRESENT[window]], Y[window][PRESENT[window]]
        k = k - RATE * 2 * (x @ k - y) @ x / len(y)
    np.savez(tmp_path / "data.npz", x=X[:8], labels=labels, start=START)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr"]
    command += [
        "127.0.0.1",
        "--nproc-per-node=2",
        str(Path(__file__).with_name("trainer_ranks.py")),
    ]
    command += [str(tmp_path / name) for name in ("data.npz", "out", "found.npy")]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "ACCELERATE_USE_CPU": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_allclose(found, k, rtol=1e-13, atol=1e-13)
    pair = (START - found, START - k)
    splits(
        "Transformers Trainer", "2 ranks × 2 micro-batches (gradient column: 2 steps)", None, pair
    )


@transformers
def test_nan_labels_that_nobody_counted(tmp_path):
    """NaN labels that the Trainer has counted as present raise, and name the collator"""
    loss = l2torch.hf_loss(l2torch.Criterion(nan_targets="ignore"))
    with pytest.raises(ValueError, match=r"^labels: expected NaN labels to be -100 .*collator"):
        trained(tmp_path, loss, np.where(PRESENT, Y, np.nan))


@transformers
def test_outputs():
    """`hf_loss` takes a tuple's first, an attribute, a name or a position, and no other name"""
    pred, labels = torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, -100.0])
    for output, outputs in (
        ("logits", (pred, None)),
        ("logits", {"logits": pred}),
        (1, (None, pred)),
        ("head", {"head": pred}),
    ):
        assert l2torch.hf_loss(l2torch.Criterion(), output)(outputs, labels) == 1
    with pytest.raises(ValueError, match=r"^output: expected a position in a tuple"):
        l2torch.hf_loss(l2torch.Criterion(), "head")((pred,), labels)
