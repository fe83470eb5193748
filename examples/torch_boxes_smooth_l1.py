"""Bounding-box regression with SmoothL1: only anchors that match an object count.

Images of 32 x 32 pixels hold one bright rectangle; a small convolutional net regresses its box
(centre and log size) at each of four anchors, of which the mask keeps the one nearest the centre.
"""

import torch
from torch import nn

import l2torch
from l2core import SmoothL1

torch.manual_seed(0)
torch.set_num_threads(1)  # tensors so small that threads only wait for each other
ANCHORS = torch.tensor([[8.0, 8.0], [24.0, 8.0], [8.0, 24.0], [24.0, 24.0]])


def images(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixels (n, 1, 32, 32), targets (n, 4 anchors, 4), and the mask of matched anchors (n, 4)."""
    size = torch.randint(4, 13, (n, 2)).float()
    centre = size / 2 + torch.rand(n, 2) * (32 - size)
    grid = torch.arange(32) + 0.5
    inside = [(grid - centre[:, i : i + 1]).abs() < size[:, i : i + 1] / 2 for i in (0, 1)]
    pixels = (inside[1][:, :, None] & inside[0][:, None, :]).float()
    offset = (centre[:, None] - ANCHORS) / 8
    target = torch.cat([offset, (size / 8).log()[:, None].expand(-1, 4, -1)], -1)
    nearest = offset.square().sum(-1).argmin(-1)
    return pixels[:, None], target, nn.functional.one_hot(nearest, 4).bool()


model = nn.Sequential(
    nn.Conv2d(1, 16, 3, 2, 1),
    nn.ReLU(),
    nn.Conv2d(16, 32, 3, 2, 1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(32 * 64, 16),
    nn.Unflatten(1, (4, 4)),
)
criterion = l2torch.Criterion(SmoothL1(beta=0.1))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for step in range(200):
    pixels, target, matched = images(64)
    optimizer.zero_grad()
    loss = criterion(model(pixels), target, mask=matched)
    loss.backward()
    optimizer.step()
    if step % 50 == 49:
        print(f"step {step + 1}: SmoothL1 of matched anchors {loss:.4f}")

pixels, target, matched = images(500)
with torch.no_grad():
    error = l2torch.Criterion(axis=(0, 1), reduction="root_mean")(
        model(pixels), target, mask=matched
    )
print("RMSE of centre x, y (pixels):", [round(8 * e, 2) for e in error[:2].tolist()])
print("RMSE of log width, height:   ", [round(e, 3) for e in error[2:].tolist()])
