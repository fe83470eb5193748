"""accelerate: `gradient_accumulation_steps` with the exact mean over each window, then clipping."""

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import l2torch

torch.manual_seed(0)
x = torch.randn(60, 8)
y = x.sum(dim=1, keepdim=True) + 0.1 * torch.randn(60, 1)
weight = torch.where(torch.arange(60) % 20 < 5, 5.0, 0.05)


def trained(k: int) -> torch.Tensor:
    """The weights after one epoch of 20 rows a step, in k micro-batches."""
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=k)
    torch.manual_seed(1)
    net = nn.Linear(8, 1)
    data = DataLoader(TensorDataset(x, y, weight), batch_size=20 // k)
    model, sgd, data = accelerator.prepare(net, torch.optim.SGD(net.parameters(), 0.5), data)
    window = l2torch.Window(l2torch.Criterion("huber"), divided_by=k)
    for x_, y_, weight_ in data:
        with accelerator.accumulate(model):
            accelerator.backward(window.add(model(x_), y_, weight=weight_))
            if accelerator.sync_gradients:
                loss = window.finish(model.parameters())
                accelerator.clip_grad_norm_(model.parameters(), 10.0)
            sgd.step()
            sgd.zero_grad()
    print(f"{k} micro-batches: loss of the last window {loss:.6f}")
    return torch.cat([p.detach().ravel() for p in model.parameters()])


apart = (trained(4) - trained(1)).abs().max()
print(f"largest difference of a weight after 3 steps: {apart:.1e}")
assert apart < 3 * 20 * 2**-24  # steps of 20 float32 terms below 1
