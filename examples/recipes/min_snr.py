"""
Min-SNR weights of a diffusion model
====================================

A diffusion model's loss is weighted by the noise of each sample's time step (Hang et al., 2023).
The mean has to divide by the count: the sum of a batch's weights is random, and to divide by it
undoes part of the weighting, with one sample a batch all of it.
"""

# %%
# The data are points x on two half moons. At step t of 100 a network sees √ᾱ x + √(1 - ᾱ) ε and
# predicts x. The signal-to-noise ratio is ᾱ/(1 - ᾱ), and the min-SNR weight of a loss in x is
# min(SNR, γ) with γ = 5: steps with much noise, at which there is little to know about x, count
# less.

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import make_moons
from torch import nn

import l2torch

torch.set_num_threads(1)  # tensors so small that threads only wait for each other
T, GAMMA, STEPS = 100, 5.0, 800
phase = (torch.arange(1, T + 1) / T + 0.008) / 1.008 * torch.pi / 2
signal = phase.cos().square().clamp(1e-3, 1 - 1e-4)  # ᾱ: Nichol and Dhariwal, 2021
snr = signal / (1 - signal)
weights = snr.clamp(max=GAMMA)

moons = torch.from_numpy(make_moons(4000, noise=0.04, random_state=0)[0]).float()
moons = (moons - moons.mean(0)) / moons.std(0)

# %%
# What a sample at step t counts for in a batch is its weight over the mean's denominator, relative
# to one over the number of elements. By count that is the weight. By the sum of weights it is the
# weight over the mean weight of the batch, and so depends on which other samples the batch has.
# ``denominator_of`` tells what a criterion divides by; the mean is over 500 batches for each step.


def counted(denominator: str, batch: int) -> torch.Tensor:
    """What a sample of each time step counts for, in the mean over batches drawn at random."""
    criterion = l2torch.Criterion(denominator=denominator, axis=1)
    generator = torch.Generator().manual_seed(0)
    others = torch.randint(T, (batch - 1, T, 500), generator=generator)
    own = weights[:, None].expand(T, 500)[None]
    drawn = torch.cat([own, weights[others]]).flatten(1).T  # (batches, samples)
    divisor = criterion.denominator_of(torch.zeros_like(drawn), weight=drawn)
    return (drawn[:, 0] * batch / divisor).reshape(T, 500).mean(1)


curves = {
    "by count, any batch": counted("count", 4),
    "by sum of weights, batches of 4": counted("weight", 4),
    "by sum of weights, batches of 1": counted("weight", 1),
}
for name, curve in curves.items():
    print(f"{name:32} step 30 counts {curve[29]:.3f}, step 90 {curve[89]:.4f}", end=", ")
    print(f"{curve[29] / curve[89]:.0f} : 1")

# %%
# The training takes a criterion with ``denominator="count"`` and a weight for each sample, (n,) for
# predictions (n, 2). It is run with and without the weights, for equally many steps. Samples are
# drawn without noise in 50 steps (DDIM: Song, Meng and Ermon, 2021).


def network() -> nn.Sequential:
    torch.manual_seed(0)
    hidden = [nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU()]
    return nn.Sequential(nn.Linear(15, 96), nn.SiLU(), *hidden, nn.Linear(96, 2))


def clean_of(model: nn.Module, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """What the network makes of noisy points, of their waves, and of the logarithm of their SNR."""
    waves = [wave(k * x) for k in (1, 2, 4) for wave in (torch.sin, torch.cos)]
    return model(torch.cat([x, *waves, snr[t, None].log() / 4], -1))


def noisy(x: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return signal[t, None].sqrt() * x + (1 - signal[t, None]).sqrt() * noise


def trained(weighted: bool) -> nn.Module:
    """A network after STEPS batches of 256 samples."""
    model = network()
    criterion = l2torch.Criterion(denominator="count")
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=STEPS)
    for _ in range(STEPS):
        x = moons[torch.randint(len(moons), (256,))]
        t, noise = torch.randint(T, (256,)), torch.randn(256, 2)
        optimizer.zero_grad()
        pred = clean_of(model, noisy(x, noise, t), t)
        criterion(pred, x, weight=weights[t] if weighted else None).backward()
        optimizer.step()
        schedule.step()
    return model


@torch.no_grad()
def sampled(model: nn.Module, n: int = 1000) -> torch.Tensor:
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(1))
    for now in range(T - 1, 0, -2):
        t, then = torch.full((n,), now), torch.full((n,), max(now - 2, 0))
        clean = clean_of(model, x, t)
        noise = (x - signal[t, None].sqrt() * clean) / (1 - signal[t, None]).sqrt()
        x = noisy(clean, noise, then)
    return clean


samples = {"min-SNR weights": sampled(trained(True)), "no weights": sampled(trained(False))}
for name, points in samples.items():
    distance = torch.cdist(points, moons).min(1).values
    print(f"{name:16} distance of a sample to the nearest point of the data {distance.mean():.4f}")

# %%
# What each time step counts for, and samples. Without weights the steps with much noise, whose
# errors in x are large whatever is learned, are most of the loss; with them the samples lie nearer
# to the data after as many steps.

BLUE, GREEN, RED = "#4477aa", "#228833", "#ee6677"  # P. Tol, "Colour schemes" (2021)
figure, axes = plt.subplot_mosaic(
    [["weights"] * 3, ["data", *samples]], figsize=(7, 6), layout="constrained"
)
top = axes["weights"]
for (name, curve), color, style in zip(
    curves.items(), (BLUE, GREEN, RED), ("-", "--", "-."), strict=True
):
    top.plot(torch.arange(1, T + 1), curve, style, color=color, linewidth=1.8, label=name)
top.set(yscale="log", xlabel="time step", ylabel="what a sample counts for", xlim=(1, T))
top.spines[["top", "right"]].set_visible(False)
legend = top.legend(frameon=False)
axes["data"].set_ylabel("y")
for name, points in {"data": moons[:1000], **samples}.items():
    axes[name].scatter(*points.T, s=3, color="#777777" if name == "data" else BLUE, linewidths=0)
    axes[name].set(title=name, xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), aspect="equal", xlabel="x")
