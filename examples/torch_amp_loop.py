"""A plain training loop with automatic mixed precision: the loss is float32, whatever comes in.

The model predicts in bfloat16 under autocast. Weighted, PyTorch's own `mse_loss` leaves autocast's
list of float32 operations; l2core computes every loss of halves in float32.
"""

import torch
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale
from torch import nn

import l2torch
from l2core import Huber

torch.manual_seed(0)
torch.set_num_threads(1)  # tensors so small that threads only wait for each other
patients, progression = load_diabetes(return_X_y=True)
x = torch.tensor(scale(patients), dtype=torch.float32)
y = torch.tensor(scale(progression), dtype=torch.float32)[:, None]
weight = torch.where(y.abs() > 1.5, 2.0, 1.0)  # the extreme patients count twice

first = nn.Linear(10, 64)
model = nn.Sequential(first, nn.ReLU(), nn.Linear(64, 1))
criterion = l2torch.Criterion(Huber(delta=1.0))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

for epoch in range(30):
    for rows in torch.randperm(len(x)).split(64):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            pred = model(x[rows])
            loss = criterion(pred, y[rows], weight=weight[rows])
        loss.backward()
        optimizer.step()
    if epoch % 10 == 9:
        with torch.no_grad():
            print(f"epoch {epoch + 1:2d}: loss {criterion(model(x), y, weight=weight):.4f}")

print(f"predictions {pred.dtype}, loss {loss.dtype}, parameters {first.weight.dtype}")
