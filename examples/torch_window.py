"""Micro-batches whose sizes nobody knows ahead: the step of one large batch, exactly.

Sequences are padded, so micro-batches hold unequal numbers of steps. The mean of their means is
another number than the mean over all steps. A window adds the gradients of the numerators as they
come, and scales them once by the denominators of all, before clipping.
"""

import torch
from torch import nn

import l2torch

torch.manual_seed(0)
torch.set_num_threads(1)
lengths = torch.tensor([100, 3, 61, 12, 88, 7, 30])
x = torch.randn(len(lengths), 100, 8)
y = x.sum(dim=-1, keepdim=True) + 0.1 * torch.randn(len(lengths), 100, 1)
mask = torch.arange(100) < lengths[:, None]
criterion = l2torch.Criterion("huber")


def step(accumulate: str) -> torch.Tensor:
    """The weights of a model after one step over all seven sequences."""
    torch.manual_seed(1)
    model = nn.Linear(8, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=1.0)
    window = l2torch.Window(criterion)
    parts = (
        [slice(None)] if accumulate == "one batch" else [slice(i, i + 2) for i in range(0, 7, 2)]
    )
    for rows in parts:
        if accumulate == "window":
            window.add(model(x[rows]), y[rows], mask=mask[rows]).backward()
        else:
            loss = criterion(model(x[rows]), y[rows], mask=mask[rows])
            (loss / len(parts)).backward()
    if accumulate == "window":
        print(f"loss of the window {window.finish(model.parameters()):.6f}")
    nn.utils.clip_grad_norm_(model.parameters(), 10.0)
    sgd.step()
    return torch.cat([p.detach().ravel() for p in model.parameters()])


whole = step("one batch")
exact, naive = ((step(how) - whole).abs().max() for how in ("window", "means"))
print(f"largest difference of a weight: a window {exact:.1e}, the mean of means {naive:.1e}")
# 301 float32 terms below 4, added in another order.
assert exact < 301 * 2**-24 * 4 < naive
