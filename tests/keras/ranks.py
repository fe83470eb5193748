"""Run under torchrun by test_torch.py: Keras on torch under DistributedDataParallel."""

import os
import sys

import keras
import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import l2core
import l2keras
from splits import Rows

torch.set_num_threads(1)
dist.init_process_group("gloo")
RANK = dist.get_rank()
rng = np.random.default_rng(0)
x, y = (rng.normal(size=(13, k)).astype("f4") for k in (3, 2))
weight = np.where(np.arange(13) < 4, 0.1, 3.0).astype("f4")
parts = [slice(0, 4), slice(4, 4), slice(4, 13)]  # the second rank has nothing
# Sums of 26 float32 terms, a division and a root, two matrix products.
CLOSE = 64 * 2.0**-24
rows = Rows()


def model():
    dense = keras.layers.Dense(2, kernel_initializer="ones")
    return keras.Sequential([keras.Input((3,)), dense])


def graded(loss, part, ranks):
    net = model()
    module = DistributedDataParallel(net) if ranks else net
    value = loss(y[part], module(torch.tensor(x[part])), weight[part])
    value.backward()
    return value.detach().numpy(), [v.value.grad.numpy() for v in net.trainable_variables]


def pair(make):
    """In one process, over the ranks, and what DistributedDataParallel does by itself."""
    one = graded(make(), slice(None), False)
    loss = make()
    loss.process_group = "world"
    return one, graded(loss, parts[RANK], True)


for make in (
    lambda: l2keras.Criterion(l2core.Huber(0.5)),
    lambda: l2keras.Criterion(l2core.Huber(0.5), "root_mean", "count"),
    lambda: l2keras.Criterion(denominator=10.0),
    lambda: l2keras.Criterion("log_cosh", "sum"),
    lambda: l2keras.MeanSquaredError(),
    lambda: l2keras.MeanSquaredError("mean_with_sample_weight"),
    lambda: l2keras.MeanAbsoluteError("sum"),
):
    (value, gradient), (v, g) = pair(make)
    naive = None
    if make().get_config().get("reduction") == "mean_with_sample_weight":
        loss = l2keras.MeanSquaredError("mean_with_sample_weight")
        naive = graded(loss, parts[RANK], True)[1], gradient
    found = rows.add(
        "Keras on torch: DistributedDataParallel",
        "3 ranks, one empty",
        (v, value),
        (g, gradient),
        naive,
    )
    assert abs(v - value) <= CLOSE * abs(value), make()
    assert found[1] <= CLOSE, (make(), found)
with pytest.raises(ValueError, match="process_group: expected None for a loss of each sample"):
    l2keras.Criterion(axis=-1, process_group="world")(y, y)
if RANK == 0:
    print("\n".join(rows.told()), flush=True)
dist.barrier()
dist.destroy_process_group()
# Past what threads of PyTorch do at the end of Python, which may abort.
sys.stdout.flush()
os._exit(0)
