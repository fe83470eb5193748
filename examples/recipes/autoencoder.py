"""
An autoencoder of uint8 pixels
==============================

Patches of a photograph go into the loss as the uint8 pixels they are. Squared error keeps the
mean and with it the PSNR, absolute error the median; both are measured on the bytes of the
result, where uint8 arithmetic would wrap around.
"""

# %%
# Patches of 8 × 8 pixels are squeezed through 4 numbers. The criterion takes the difference in
# float32, so the target needs no conversion and no copy in another dtype is kept.

import math

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import SymLogNorm
from sklearn.datasets import load_sample_image
from torch import nn

import l2torch

torch.set_num_threads(1)  # tensors so small that threads only wait for each other
ROWS, COLUMNS, PATCH = 424, 640, 8
photo = torch.from_numpy(load_sample_image("china.jpg").copy()).float().mean(-1).to(torch.uint8)
photo = photo[:ROWS, :COLUMNS]
patches = photo.unfold(0, PATCH, PATCH).unfold(1, PATCH, PATCH).reshape(-1, PATCH**2)
print("patches:", tuple(patches.shape), patches.dtype)


def trained(criterion: nn.Module) -> torch.Tensor:
    """All patches, encoded and decoded by a network trained with this criterion, in uint8."""
    torch.manual_seed(0)
    pixels = PATCH**2
    model = nn.Sequential(
        nn.Linear(pixels, 128), nn.ReLU(), nn.Linear(128, 4), nn.Linear(4, 128), nn.ReLU(),
        nn.Linear(128, pixels),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    epochs = 40
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=epochs)

    def decoded(batch: torch.Tensor) -> torch.Tensor:
        return 255 * (0.5 + model(batch.float() / 255 - 0.5))

    for _ in range(epochs):
        for batch in patches[torch.randperm(len(patches))].split(256):
            optimizer.zero_grad()
            criterion(decoded(batch), batch).backward()
            optimizer.step()
        schedule.step()
    with torch.no_grad():
        return decoded(patches).round().clamp(0, 255).to(torch.uint8)


mse, mae = l2torch.MSELoss(), l2torch.L1Loss()
found = {"squared error": trained(mse), "absolute error": trained(mae)}

# %%
# Each network is the better one by the measure that it was trained on. The PSNR is 10 log₁₀(255² /
# MSE), and the MSE in it is that of the grey levels. Where bytes are subtracted and squared as
# bytes, a difference of 20 counts as 20² modulo 256 = 144, one of 16 as nothing, and nothing as
# more than 255. That PSNR looks far better than it is.


def psnr(mean_square: float) -> float:
    return 10 * math.log10(255**2 / mean_square)


for name, bytes_ in found.items():
    right = mse(bytes_, patches).item()
    wrapped = ((bytes_ - patches) ** 2).float().mean().item()
    print(f"trained with {name}:")
    print(f"    mean absolute error {mae(bytes_, patches):.2f} grey levels, MSE {right:.1f}")
    print(f"    PSNR {psnr(right):.2f} dB; in uint8 arithmetic {psnr(wrapped):.2f} dB")

# %%
# Part of the photograph with its two reconstructions; below, the square of a difference of bytes,
# and that of each pixel of the first reconstruction, as it is and as bytes have it.


def image(patches: torch.Tensor) -> torch.Tensor:
    """Part of the picture that these patches (n, 64) make up."""
    grid = patches.reshape(ROWS // PATCH, COLUMNS // PATCH, PATCH, PATCH)
    return grid.movedim(2, 1).reshape(ROWS, COLUMNS)[100:260, 200:400]


figure, axes = plt.subplots(2, 3, figsize=(7, 4.6), layout="constrained")
axes[0, 0].imshow(image(patches), cmap="gray", vmin=0, vmax=255)
axes[0, 0].set_title("original", fontsize=10)
for ax, (name, pixels) in zip(axes[0, 1:], found.items(), strict=True):
    ax.imshow(image(pixels), cmap="gray", vmin=0, vmax=255)
    ax.set_title(f"{name}, {psnr(mse(pixels, patches).item()):.2f} dB", fontsize=10)

pixels = found["squared error"]
squares = {
    "square": (pixels.float() - patches.float()) ** 2,
    "square in uint8": (pixels - patches) ** 2,
}
for ax, (name, square) in zip(axes[1, 1:], squares.items(), strict=True):
    shades = ax.imshow(image(square), cmap="magma_r", norm=SymLogNorm(10, vmin=0, vmax=10_000))
    ax.set_title(name, fontsize=10)
for ax in [*axes[0], *axes[1, 1:]]:
    ax.set(xticks=[], yticks=[])
figure.colorbar(shades, ax=axes[1, 1:], label="grey levels²", shrink=0.8)

difference = torch.arange(41)
curves = axes[1, 0]
curves.plot(difference, difference**2, color="#4477aa", label="square")
wrapped = difference.to(torch.uint8) ** 2
curves.plot(difference, wrapped, ".-", color="#ee6677", markersize=4, label="square in uint8")
curves.set(xlabel="difference (grey levels)", ylabel="grey levels²")
curves.spines[["top", "right"]].set_visible(False)
legend = curves.legend(frameon=False, fontsize=8)
