"""An autoencoder on a real photograph, whose uint8 pixels go into the loss as they are.

Patches of 8 x 8 pixels are squeezed through 16 numbers. The target is the uint8 image itself:
l2core takes the difference in float32, where uint8 arithmetic would wrap around.
"""

import math

import torch
from sklearn.datasets import load_sample_image
from torch import nn

import l2torch

torch.manual_seed(0)
torch.set_num_threads(1)  # tensors so small that threads only wait for each other
photo = torch.from_numpy(load_sample_image("china.jpg").copy()).float().mean(-1).to(torch.uint8)
patches = photo[:424, :640].unfold(0, 8, 8).unfold(1, 8, 8).reshape(-1, 64)  # uint8 (4240, 64)

model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 16), nn.Linear(16, 64))
criterion = l2torch.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)


def decoded(patches: torch.Tensor) -> torch.Tensor:
    return 255 * (0.5 + model(patches.float() / 255 - 0.5))


for epoch in range(12):
    for batch in patches[torch.randperm(len(patches))].split(128):
        optimizer.zero_grad()
        criterion(decoded(batch), batch).backward()
        optimizer.step()
    if epoch % 3 == 2:
        with torch.no_grad():
            mse = criterion(decoded(patches), patches).item()
        print(f"epoch {epoch + 1:2d}: mse {mse:7.2f}, PSNR {10 * math.log10(255**2 / mse):.2f} dB")

flat = torch.full_like(patches, int(patches.float().mean()))
print(f"for comparison, one grey, uint8 against uint8: mse {criterion(flat, patches):.2f}")
