"""TD learning of a value function: a bootstrapped target whose gradient is stopped.

A random walk over 19 states ends left (reward -1) or right (reward 1): the value of state i is
linear, so what is learned can be checked. The last step of an episode has no successor: the mask
leaves its bootstrap out where a NaN stands for "no next state".
"""

import torch

import l2torch
from l2core import HalfSquaredError

torch.manual_seed(0)
STATES, WALKS = 19, 3000
truth = torch.linspace(-1, 1, STATES + 2)[1:-1]
value = torch.zeros(STATES, requires_grad=True)
criterion = l2torch.Criterion(HalfSquaredError(), reduction="sum")

for step in range(WALKS):
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
