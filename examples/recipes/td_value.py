"""
A value function from prioritised replay
========================================

Prioritised replay draws surprising transitions more often, and importance weights take that back
in the mean (Schaul, Quan, Antonoglou and Silver, 2016). They do so without bias where the mean
divides by the count, ``denominator="count"``.
"""

# %%
# A random walk over 9 states pays 1 with probability 0.1 at each step, and ends beyond either side.
# The buffer holds 2,000 transitions; the true values are those of the Bellman equation of the
# buffer itself, so that all that is measured comes from the drawing and the loss.

import matplotlib.pyplot as plt
import torch

import l2torch
from l2core import HalfSquaredError

torch.set_num_threads(1)  # tensors so small that threads only wait for each other
STATES, SIZE, BATCH, STEPS, RUNS = 9, 2000, 4, 4000, 16
generator = torch.Generator().manual_seed(0)

state = torch.randint(STATES, (SIZE,), generator=generator)
after = state + 2 * torch.randint(2, (SIZE,), generator=generator) - 1
ends = (after < 0) | (after >= STATES)
reward = (torch.rand(SIZE, generator=generator) < 0.1).float()

at = torch.nn.functional.one_hot(state, STATES).double()
to = torch.nn.functional.one_hot(after.clamp(0, STATES - 1), STATES).double() * ~ends[:, None]
truth = torch.linalg.solve(at.T @ (at - to), at.T @ reward.double()).float()

# %%
# A transition is drawn with probability P in proportion to the size of its last TD error to the
# power 0.6, and its weight is 1/(N P): over all drawings the weighted mean is the plain mean over
# the buffer. The TD error is the gradient of the half squared error; ``detach`` stops the gradient
# through the next state, which the bootstrapped target would have. Sixteen runs go side by side,
# one a row, and the criterion takes the mean over each row's batch.


def learned(weighted: bool, denominator: str = "count") -> torch.Tensor:
    """The values of each run (RUNS, STATES), as the mean over the second half of the steps."""
    generator = torch.Generator().manual_seed(1)
    criterion = l2torch.Criterion(HalfSquaredError(), denominator=denominator, axis=1)
    value = torch.zeros(RUNS, STATES, requires_grad=True)
    priority = torch.ones(RUNS, SIZE)
    mean = torch.zeros(RUNS, STATES)
    for step in range(STEPS):
        drawn = torch.multinomial(priority, BATCH, replacement=True, generator=generator)
        share = priority.gather(1, drawn) / priority.sum(1, keepdim=True)
        following = value.gather(1, after[drawn].clamp(0, STATES - 1))
        target = reward[drawn] + torch.where(ends[drawn], 0.0, following).detach()
        pred = value.gather(1, state[drawn])
        losses = criterion(pred, target, weight=1 / (SIZE * share) if weighted else None)
        (slope,) = torch.autograd.grad(losses.sum(), value)
        with torch.no_grad():
            value -= 0.25 * slope
            priority.scatter_(1, drawn, ((target - pred).abs() + 0.01) ** 0.6)
        if step >= STEPS // 2:
            mean += value.detach() / (STEPS - STEPS // 2)
    return mean


# %%
# Without weights the rare rewards, which surprise, are learned as if they were less rare. With the
# weights in the mean's denominator, the default, a batch of transitions that surprise little, whose
# weights are large, is divided by much, and one of those that surprise by little: part of the bias
# stays, more of it the smaller the batch, and in batches of one all of it. Divided by the count,
# each drawing counts as it should, and the mean of the runs comes near to the truth from its start
# at 0. The single runs scatter more for it: the sum of weights as the denominator buys less
# variance with that bias.

cases = {
    "weights, by count": learned(True),
    "weights, by their sum": learned(True, "weight"),
    "no weights": learned(False),
}
middle = STATES // 2
print(f"the truth at the middle is {truth[middle]:.2f}")
for name, values in cases.items():
    at_middle = values[:, middle]
    error = at_middle.std() / RUNS**0.5
    print(f"{name:22} mean of the runs {at_middle.mean():.2f} ± {error:.2f},", end=" ")
    print(f"from {at_middle.min():.2f} to {at_middle.max():.2f}")

# %%
# The value functions beside the truth: the mean of the runs, and from the least to the most.

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
states = torch.arange(1, STATES + 1)
ax.plot(states, truth, color="black", linewidth=1.5, label="truth", zorder=3)
for (name, values), color, style in zip(
    cases.items(), ("#4477aa", "#228833", "#ee6677"), ("o-", "s--", "^-."), strict=True
):
    ax.plot(states, values.mean(0), style, color=color, label=name)
    low, high = values.aminmax(dim=0)
    ax.fill_between(states, low, high, color=color, alpha=0.2, linewidth=0)
ax.set(xlabel="state", ylabel="value (sum of rewards to come)", ylim=(0, None))
ax.spines[["top", "right"]].set_visible(False)
legend = ax.legend(frameon=False, loc="lower center")
