"""Lightning: `accumulate_grad_batches` with the exact mean over each window, and over the epoch.

Nothing is counted beforehand. In automatic optimisation Lightning divides each loss by the number of
micro-batches, which the window is told, and asks `on_before_optimizer_step` before it clips and steps.
"""

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import l2torch

torch.manual_seed(0)
x = torch.randn(60, 8)
y = x.sum(dim=1) + 0.1 * torch.randn(60)
weight = torch.where(torch.arange(60) % 20 < 5, 5.0, 0.05)


class Model(L.LightningModule):
    def __init__(self, k: int) -> None:
        super().__init__()
        self.net = nn.Linear(8, 1)
        nn.init.zeros_(self.net.weight)
        nn.init.zeros_(self.net.bias)
        criterion = l2torch.Criterion("huber")
        self.window = l2torch.Window(criterion, divided_by=k)
        self.mean = l2torch.CriterionMetric(criterion)

    def training_step(self, batch: list[torch.Tensor], i: int) -> torch.Tensor:
        x, y, weight = batch
        pred = self.net(x)[:, 0]
        self.mean(pred.detach(), y, weight=weight)
        self.log("mean", self.mean, on_step=False, on_epoch=True)
        return self.window.add(pred, y, weight=weight)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.log("window", self.window.finish(self.parameters()))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.5)


def trained(k: int) -> torch.Tensor:
    """The weights after three epochs of 20 rows a step, in k micro-batches."""
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
    model = Model(k)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=3,
        accumulate_grad_batches=k,
        gradient_clip_val=10.0,
        enable_checkpointing=False,
        **quiet,
    )
    trainer.fit(model, DataLoader(TensorDataset(x, y, weight), batch_size=20 // k))
    print(f"{k} micro-batches: mean of the epoch {trainer.callback_metrics['mean']:.6f}")
    return torch.cat([p.detach().ravel() for p in model.net.parameters()])


apart = (trained(4) - trained(1)).abs().max()
print(f"largest difference of a weight after 9 steps: {apart:.1e}")
assert apart < 9 * 20 * 2**-24  # steps of 20 float32 terms below 1
