"""Sequences of unequal length, padded with NaN: the mask selects, and padding cannot leak in.

A recurrent net predicts the next value of noisy waves. The mean is over the steps that exist, so a
batch padded further has the same loss and gradients up to rounding; and the mean over micro-batches
is exact if their terms are added up, where the mean of their means is another number.
"""

import math

import torch
from torch import nn

import l2torch

torch.manual_seed(0)
torch.set_num_threads(1)  # tensors so small that threads only wait for each other
lengths = [100, 37, 3, 61, 88, 12]
curves = [
    torch.sin(torch.arange(n + 1) * 0.3 + i) + 0.05 * torch.randn(n + 1)
    for i, n in enumerate(lengths)
]


def padded(curves: list[torch.Tensor], length: int) -> tuple[torch.Tensor, ...]:
    """Inputs (B, T, 1), targets (B, T, 1) with NaN beyond each end, and the mask (B, T)."""
    x = torch.zeros(len(curves), length, 1)
    y = torch.full((len(curves), length, 1), math.nan)
    for i, curve in enumerate(curves):
        x[i, : len(curve) - 1, 0], y[i, : len(curve) - 1, 0] = curve[:-1], curve[1:]
    return x, y, ~y[..., 0].isnan()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.GRU(1, 16, batch_first=True)
        self.head = nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cells(x)[0])


model, criterion = Net(), l2torch.Criterion()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
x, y, mask = padded(curves, 100)
for step in range(80):
    optimizer.zero_grad()
    loss = criterion(model(x), y, mask=mask)
    loss.backward()
    optimizer.step()
    if step % 20 == 19:
        print(f"step {step + 1}: loss {loss:.5f}")

with torch.no_grad():
    whole = criterion(model(x), y, mask=mask)
    longer, target, more = padded(curves, 400)
    same = criterion(model(longer), target, mask=more)
    print(f"padded to 100 steps {whole:.6f}, to 400 steps {same:.6f}")
    parts = [padded([curve], len(curve) - 1) for curve in curves]
    first, *rest = (criterion.terms(model(a), b, mask=m) for a, b, m in parts)
    means = [criterion(model(a), b, mask=m) for a, b, m in parts]
    exact = sum(rest, first).value()
    print(f"one by one, terms added {exact:.6f}; the mean of means {sum(means) / 6:.6f}")
