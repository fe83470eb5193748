"""
Boxes at matched anchors
========================

A detector has many anchors and few objects, so that most anchors have no box to learn. Under a
mask SmoothL1 counts the matched anchors alone, whatever stands at the others.
"""

# %%
# Images of 48 × 48 pixels have 3 × 3 anchors, and at each an object with probability 0.2. What is
# regressed is the offset of the object's centre from the anchor and the logarithm of its size. The
# pixels are noisy, so that it is not always plain whether there is an object. An absent object has
# size 0, whose logarithm is -inf: such targets are usual where they are computed for all anchors at
# once.

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Rectangle
from torch import nn

import l2torch
from l2core import SmoothL1

torch.set_num_threads(1)  # tensors so small that threads only wait for each other
CELL, CELLS = 16, 3
SIDE = CELL * CELLS
NOISE = 0.8  # beside objects of brightness 1
ANCHORS = (torch.arange(CELLS) + 0.5) * CELL


def images(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixels (n, 1, 48, 48), targets (n, 3, 3, 4), and the mask of matched anchors (n, 3, 3)."""
    generator = torch.Generator().manual_seed(seed)
    matched = torch.rand(n, CELLS, CELLS, generator=generator) < 0.2
    offset = 6 * torch.rand(n, CELLS, CELLS, 2, generator=generator) - 3
    size = 4 + 6 * torch.rand(n, CELLS, CELLS, 2, generator=generator)
    size = size * matched[..., None]
    centre = offset + torch.stack(torch.meshgrid(ANCHORS, ANCHORS, indexing="xy"), -1)
    pixel = torch.arange(SIDE) + 0.5
    inside = (pixel[:, None] - centre[..., None, :]).abs() < size[..., None, :] / 2
    across, down = inside.flatten(1, 2).float().unbind(-1)  # (n, anchors, pixels) each
    pixels = torch.einsum("nay,nax->nyx", down, across)
    pixels += NOISE * torch.randn(pixels.shape, generator=generator)
    target = torch.cat([offset / 8, (size / 8).log()], -1)
    return pixels[:, None], target, matched


def network() -> nn.Sequential:
    """Four halvings, from 48 × 48 pixels to 3 × 3 anchors."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 8), (8, 16), (16, 32)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(32, 4, 3, 2, 1))


def boxes(model: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    return model(pixels).movedim(1, -1)


# %%
# Ways to leave out the unmatched anchors, on one batch. To multiply the elementwise loss by the
# mask gives inf · 0, which is NaN. To zero both sides first has the right gradient but for its
# size: the mean divides by all anchors, so that it falls as objects become rare, and a weight
# beside a classification loss that was tuned on crowded images is wrong on empty ones. To index by
# the mask is right, until a batch has no object: its mean over nothing is NaN, which no gradient
# carries on but every running mean of the loss does. The criterion gives 0 there, if it is told
# ``empty="zero"``.

model = network()
criterion = l2torch.Criterion(SmoothL1(beta=0.1), empty="zero")
pixels, target, matched = images(64, seed=1)
with torch.no_grad():
    pred = boxes(model, pixels)
    every = nn.functional.smooth_l1_loss(pred, target, beta=0.1, reduction="none")
    present = matched[..., None]
    print(f"{matched.float().mean():.0%} of the anchors are matched")
    print(f"loss under the mask              {criterion(pred, target, mask=matched):.4f}")
    print(f"elementwise loss times the mask  {(every * present).mean():.4f}")
    zeroed = torch.where(present, target, 0.0)
    naive = nn.functional.smooth_l1_loss(pred * present, zeroed, beta=0.1)
    print(f"both sides zeroed                {naive:.4f}")
    indexed = nn.functional.smooth_l1_loss(pred[matched], target[matched], beta=0.1)
    print(f"indexed by the mask              {indexed:.4f}")
    none = torch.zeros_like(matched)
    indexed = nn.functional.smooth_l1_loss(pred[none], target[none], beta=0.1)
    print(f"no object: indexed {indexed:.4f}, criterion {criterion(pred, target, mask=none):.4f}")

# %%
# A third habit is to fill the missing targets with 0 and to train on all anchors. Nothing becomes
# NaN and the loss falls, but four in five of its elements are boxes that do not exist: the network
# is taught to answer nearer to 0 where it is not sure of the object.


def trained(fill: bool) -> nn.Sequential:
    """A network after 200 steps, on all anchors with 0 filled in, or on the matched ones."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(200):
        pixels, target, matched = images(32, seed=100 + step)
        if fill:
            target = torch.where(matched[..., None], target, 0.0)
        optimizer.zero_grad()
        loss = criterion(boxes(model, pixels), target, mask=None if fill else matched)
        loss.backward()
        optimizer.step()
    return model


error = l2torch.Criterion(axis=(0, 1, 2), reduction="root_mean")
pixels, target, matched = images(500, seed=2)
found = {}
for name, fill in (("matched anchors only", False), ("zeros elsewhere", True)):
    model = trained(fill)
    with torch.no_grad():
        found[name] = boxes(model, pixels)
    x, y, width, height = error(found[name], target, mask=matched).tolist()
    print(f"trained on {name}: RMSE of the centre {8 * x:.2f}, {8 * y:.2f} pixels,")
    print(f"    of log width and log height {width:.3f}, {height:.3f}")

# %%
# Six of the images that no training saw, with the true boxes and those of both networks at the
# matched anchors.

GREEN, BLUE, RED = "#228833", "#4477aa", "#ee6677"  # P. Tol, "Colour schemes" (2021)
STYLES = {"matched anchors only": (BLUE, "-"), "zeros elsewhere": (RED, "--")}
shown = (matched.sum((1, 2)) == 3).nonzero()[:6, 0]
figure, axes = plt.subplots(2, 3, figsize=(7, 5.4), layout="constrained")


def draw(ax: plt.Axes, values: torch.Tensor, row: int, column: int, color: str, style: str) -> None:
    """The box of offset and log size at the anchor of this row and column."""
    centre = 8 * values[:2] + torch.stack([ANCHORS[column], ANCHORS[row]])
    size = 8 * values[2:].exp()
    x, y = (centre - size / 2).tolist()
    width, height = size.tolist()
    box = Rectangle((x, y), width, height, fill=False, edgecolor=color, linestyle=style, lw=2)
    ax.add_patch(box)


for ax, i in zip(axes.flat, shown.tolist(), strict=True):
    ax.imshow(pixels[i, 0], cmap="Greys", vmax=3, extent=(0, SIDE, SIDE, 0))
    for row, column in matched[i].nonzero().tolist():
        draw(ax, target[i, row, column], row, column, GREEN, "-")
        for name, (color, style) in STYLES.items():
            draw(ax, found[name][i, row, column], row, column, color, style)
    ax.set(xticks=range(0, SIDE + 1, CELL), yticks=range(0, SIDE + 1, CELL))
for ax in axes[-1]:
    ax.set_xlabel("x (pixels)")
for ax in axes[:, 0]:
    ax.set_ylabel("y (pixels)")
lines = [plt.Line2D([], [], color=GREEN, lw=2, label="true box")]
lines += [plt.Line2D([], [], color=c, linestyle=s, lw=2, label=n) for n, (c, s) in STYLES.items()]
legend = figure.legend(handles=lines, loc="outside upper center", ncols=3, frameon=False)

# %%
# The mean prediction for objects of about the same true width or place. In this noise both networks
# draw what they are not sure of towards the middle. The second draws it further, and towards what
# was filled in, 0: a width of 8 pixels and the anchor itself. Small objects come out too large.

figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
true_width, true_x = 8 * target[..., 2].exp()[matched], 8 * target[..., 0][matched]
for (name, pred), (color, style) in zip(found.items(), STYLES.values(), strict=True):
    width, x = 8 * pred[..., 2].exp()[matched], 8 * pred[..., 0][matched]
    for ax, true, answer, low in ((axes[0], true_width, width, 4), (axes[1], true_x, x, -3)):
        bins = [(true >= left) & (true < left + 1) for left in range(low, low + 6)]
        means = [(true[b].mean().item(), answer[b].mean().item()) for b in bins]
        ax.plot(*zip(*means, strict=True), style, marker="o", color=color, label=name)
for ax, ends, quantity in ((axes[0], (4, 10), "width"), (axes[1], (-3, 3), "x from the anchor")):
    ax.plot(ends, ends, color=GREEN, linewidth=1, label="truth", zorder=0)
    ax.set(xlabel=f"true {quantity} (pixels)", ylabel="mean prediction (pixels)")
    ax.spines[["top", "right"]].set_visible(False)
legend = axes[0].legend(frameon=False, fontsize=9)
