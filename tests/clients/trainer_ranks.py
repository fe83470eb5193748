"""Run under torchrun by test_transformers.py: the Trainer on two ranks, each with rows of its own."""

import os
import sys

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from transformers import Trainer, TrainingArguments

import l2torch

with np.load(sys.argv[1]) as file:
    x, labels, start = (torch.tensor(file[name]) for name in ("x", "labels", "start"))


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(start.clone())

    def forward(self, x):
        return {"logits": x @ self.kernel}


loss = l2torch.hf_loss(l2torch.Criterion("squared_error", nan_targets="ignore"))
arguments = TrainingArguments(
    output_dir=sys.argv[2],
    label_names=["labels"],
    report_to="none",
    use_cpu=True,
    disable_tqdm=True,
    save_strategy="no",
    logging_strategy="no",
    train_sampling_strategy="sequential",
    per_device_train_batch_size=1,
    gradient_accumulation_steps=2,
    num_train_epochs=1,
    optim="sgd",
    learning_rate=0.1,
    lr_scheduler_type="constant",
    max_grad_norm=1e9,
)
rows = [{"x": a, "labels": b} for a, b in zip(x, labels, strict=True)]
model = Linear()
Trainer(
    model, arguments, train_dataset=rows, compute_loss_func=loss, data_collator=loss.collator()
).train()
if dist.get_rank() == 0:
    np.save(sys.argv[3], model.kernel.detach().numpy())
dist.barrier()
dist.destroy_process_group()
# Past what threads of PyTorch do at the end of Python, which may abort.
os._exit(0)
