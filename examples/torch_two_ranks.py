"""Distributed training with the exact weighted mean: two ranks take the step of one process.

DistributedDataParallel averages the ranks' gradients. If each rank divides by its own weights, that
is a mean of means, and another number wherever their weights differ. With a process group the
criterion divides by the weights of all ranks: value and gradient are those of one process.
"""

import multiprocessing
import os
import sys
import tempfile

import torch
import torch.distributed as dist
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale
from torch import nn

import l2torch
from l2core import ErrorStatistics, Huber

torch.set_num_threads(1)  # tensors so small that threads only wait for each other
patients, progression = load_diabetes(return_X_y=True)
x = torch.tensor(scale(patients), dtype=torch.float32)
y = torch.tensor(scale(progression), dtype=torch.float32)[:, None]
weight = torch.where(torch.arange(len(x)) < 100, 5.0, 0.5)  # on the first rank, mostly
parts = slice(0, 150), slice(150, len(x))
local = l2torch.Criterion(Huber(delta=0.5))
everywhere = l2torch.Criterion(Huber(delta=0.5), process_group="world")


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(10, 1)


def step(model: nn.Module, rows: slice, criterion: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss, and the coefficients after one step on these rows."""
    sgd = torch.optim.SGD(model.parameters(), lr=1.0)
    loss = criterion(model(x[rows]), y[rows], weight=weight[rows])
    loss.backward()
    sgd.step()
    return loss.detach(), next(model.parameters()).detach()


def rank(number: int, store: str) -> None:
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # the ranks are on one machine
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=number, world_size=2)
    rows = parts[number]
    whole, single = step(linear(), slice(None), local)
    value, exact = step(nn.parallel.DistributedDataParallel(linear()), rows, everywhere)
    _, naive = step(nn.parallel.DistributedDataParallel(linear()), rows, local)
    with torch.no_grad():
        mine = ErrorStatistics.of(linear()(x[rows]), y[rows], weight=weight[rows])
    r2 = l2torch.all_reduced(mine).r2
    if number == 0:
        print(f"loss of all ranks {value:.6f}, of all data in one process {whole:.6f}; R² {r2:.4f}")
        print("one step, largest difference of a coefficient from that of one process:")
        print(f"  a criterion of all ranks  {(exact - single).abs().max():.1e}")
        print(f"  each rank its own         {(naive - single).abs().max():.1e}")
        # 442 float32 terms below 10 in another order, twice.
        assert (exact - single).abs().max() < 2 * 442 * 2**-24 * 10 < (naive - single).abs().max()
        assert (value - whole).abs() < 2 * 442 * 2**-24
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        start = multiprocessing.get_context("fork")  # which need not import PyTorch again
        ranks = [start.Process(target=rank, args=(i, f"{folder}/store")) for i in range(2)]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join()
    assert [process.exitcode for process in ranks] == [0, 0]
