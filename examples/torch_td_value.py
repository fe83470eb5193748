"""TD learning of a value function: a bootstrapped target whose gradient is stopped.

A random walk over 19 states ends left (reward -1) or right (reward 1). The true value is linear in
the state, so what is learned can be checked. The half squared error has the TD error itself as its
gradient, and a loss gives its target a gradient too: `detach` stops the one through the next state.
"""

import torch

import l2torch
from l2core import HalfSquaredError

torch.manual_seed(0)
torch.set_num_threads(1)  # tensors so small that threads only wait for each other
STATES, STEPS = 19, 3000
truth = torch.linspace(-1, 1, STATES + 2)[1:-1]
value = torch.zeros(STATES, requires_grad=True)
criterion = l2torch.Criterion(HalfSquaredError(), reduction="sum")

for step in range(STEPS):
    state = torch.randint(STATES, (64,))
    move = torch.randint(2, (64,)) * 2 - 1
    nxt = state + move
    ends = (nxt < 0) | (nxt >= STATES)
    reward = torch.where(ends, move.float(), 0.0)
    bootstrap = torch.where(ends, 0.0, value[nxt.clamp(0, STATES - 1)]).detach()  # stopped
    loss = criterion(value[state], reward + bootstrap)
    (grad,) = torch.autograd.grad(loss, value)
    with torch.no_grad():
        value -= 0.2 / (1 + step / 300) * grad
    if step % 600 == 599:
        rmse = l2torch.RMSELoss()(value.detach(), truth)
        print(f"step {step + 1}: RMSE to the true values {rmse:.4f}")

print("learned:", " ".join(f"{v:+.2f}" for v in value.detach()[::3]))
print("true:   ", " ".join(f"{v:+.2f}" for v in truth[::3]))
