"""
Weights of tasks, learned
=========================

Two outputs of very different scale share a network. The Gaussian likelihood with a learned log
variance for each output is the uncertainty weighting of Kendall, Gal and Cipolla (2018): it finds
the noise of both, where the sum of their squared errors sees one of them alone.
"""

# %%
# Of the same inputs a network predicts a length with noise of 0.02 m and a force with noise of 1 N.
# The criterion is the likelihood; its log variance has shape (1, 2), one for each output.

import matplotlib.pyplot as plt
import torch
from torch import nn

import l2torch
from l2core import GaussianNLL

torch.set_num_threads(1)  # tensors so small that threads only wait for each other
NAMES, UNITS = ("length", "force"), ("m", "N")
NOISE = torch.tensor([0.02, 1.0])
generator = torch.Generator().manual_seed(0)


def examples(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (n, 2) and targets (n, 2): a length in m and a force in N."""
    x = 2 * torch.rand(n, 2, generator=generator) - 1
    length = 0.2 * torch.sin(3 * x[:, 0]) * x[:, 1]
    force = 5 * torch.cos(2 * x[:, 1]) + 3 * x[:, 0]
    clean = torch.stack([length, force], -1)
    return x, clean + NOISE * torch.randn(n, 2, generator=generator)


x, target = examples(2000)
fresh_x, fresh = examples(2000)

# %%
# A weight that is learned without the logarithm of the likelihood only ever wants to fall. Where
# the mean divides by the sum of the weights it cannot even fall: a single weight cancels, which the
# criterion says; of several, all of it goes to the output that has the smaller error.

log_variance = torch.zeros(1, 2, requires_grad=True)
mse = l2torch.Criterion()
try:
    mse(torch.zeros_like(target), target, weight=torch.tensor(0.5))
except ValueError as error:
    print(error)
for denominator in ("count", "weight"):
    weighted = l2torch.Criterion(denominator=denominator)
    loss = weighted(torch.zeros_like(target), target, weight=(-log_variance).exp())
    (slope,) = torch.autograd.grad(loss, log_variance)
    print(f'denominator="{denominator}": gradients to the log variances', end=" ")
    print([f"{s:.3g}" for s in slope[0].tolist()])
likelihood = l2torch.Criterion(GaussianNLL())
loss = likelihood(torch.zeros_like(target), target, log_variance=log_variance)
(slope,) = torch.autograd.grad(loss, log_variance)
print("likelihood: gradients to the log variances", [f"{s:.3g}" for s in slope[0].tolist()])

# %%
# The same network is trained twice, with the squared error of both outputs and with the likelihood.
# The log variances start at 0 and learn at three times the rate of the network, since they have far
# to go.


def trained(learn: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """RMSE of fresh examples (steps, 2), learned deviations (steps, 2), and steps."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 2)
    )
    log_variance = torch.zeros(1, 2, requires_grad=True)
    groups = [{"params": model.parameters(), "lr": 1e-2}, {"params": [log_variance], "lr": 3e-2}]
    optimizer = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=800)
    rmse = l2torch.Criterion(reduction="root_mean", axis=0)
    errors, deviations, steps = [], [], []
    for step in range(801):
        rows = torch.randint(len(x), (128,))
        pred = model(x[rows])
        if learn:
            loss = likelihood(pred, target[rows], log_variance=log_variance)
        else:
            loss = mse(pred, target[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 20 == 0:
            with torch.no_grad():
                errors.append(rmse(model(fresh_x), fresh))
                deviations.append((0.5 * log_variance[0]).exp())
            steps.append(step)
    return torch.stack(errors), torch.stack(deviations), torch.tensor(steps)


runs = {"squared error": trained(False), "likelihood": trained(True)}
for name, (errors, deviations, _) in runs.items():
    for k in (0, 1):
        print(f"{name:14} {NAMES[k]:7} RMSE {errors[-1, k]:8.4f} {UNITS[k]}", end="")
        print(f", learned noise {deviations[-1, k]:.4f} {UNITS[k]}" if name == "likelihood" else "")

# %%
# Left: the learned deviations come to the noise. Right: the error of each output on fresh examples
# over its noise; 1 is the best that a model can do. Under the squared error the length has next to
# no part in the gradient and is learned badly; under the likelihood the force is no worse.

BLUE, RED = "#4477aa", "#ee6677"  # P. Tol, "Colour schemes" (2021)
figure, (scales, losses) = plt.subplots(1, 2, figsize=(7.5, 3.8), layout="constrained")
_, deviations, steps = runs["likelihood"]
for k, color in enumerate((BLUE, RED)):
    label = f"{NAMES[k]} ({UNITS[k]})"
    scales.plot(steps, deviations[:, k], color=color, linewidth=1.8, label=label)
    scales.axhline(NOISE[k], color=color, linewidth=1, linestyle=":")
scales.plot([], [], ":", color="black", linewidth=1, label="true noise")
scales.set(yscale="log", xlabel="step", ylabel="learned deviation (m, N)")
for (name, (errors, _, _)), style in zip(runs.items(), ("--", "-"), strict=True):
    for k, color in enumerate((BLUE, RED)):
        label = f"{NAMES[k]}, {name}"
        losses.plot(steps, errors[:, k] / NOISE[k], style, color=color, lw=1.8, label=label)
losses.axhline(1, color="black", linewidth=1, linestyle=":")
losses.set(yscale="log", xlabel="step", ylabel="RMSE / noise", ylim=(0.9, 30))
losses.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
for ax in (scales, losses):
    ax.spines[["top", "right"]].set_visible(False)
    legend = ax.legend(frameon=False, fontsize=8)
