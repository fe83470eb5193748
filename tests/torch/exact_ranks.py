"""Run under torchrun by test_ranks.py: the correctly rounded value of all ranks' data, whatever each has
of it; integers add up."""

import os

import numpy as np
import torch
import torch.distributed as dist

import l2torch
from l2core import Criterion, ErrorStatistics

os.environ["GLOO_SOCKET_IFNAME"] = "lo"
dist.init_process_group("gloo")
RANK, WORLD = dist.get_rank(), dist.get_world_size()
rng = np.random.default_rng(0)
p, t = (torch.tensor(rng.normal(size=301), dtype=torch.float32) for _ in range(2))
w = torch.tensor(rng.random(301), dtype=torch.float32)
part = slice(RANK * 37, 301 if RANK == WORLD - 1 else (RANK + 1) * 37)
for reduction in ("mean", "root_mean", "sum"):
    whole = Criterion(reduction=reduction, exact=True)(p, t, weight=w)
    one = l2torch.Criterion(reduction=reduction, exact=True, process_group="world")
    own = p[part].clone().requires_grad_()
    value = one(own, t[part], weight=w[part])
    assert torch.equal(value.detach(), whole), (value, whole)
    value.backward()
    plain = p[part].clone().requires_grad_()
    l2torch.Criterion(reduction=reduction, process_group="world")(
        plain, t[part], weight=w[part]
    ).backward()
    assert torch.equal(own.grad, plain.grad)
    if reduction != "sum":
        terms = l2torch.all_reduced(one.terms(p[part], t[part], weight=w[part]))
        assert torch.equal(terms.value(), whole)
for name in ("count", "size"):  # a mask, and a rank that has nothing
    mask = torch.arange(301) < 30
    one = l2torch.Criterion(denominator=name, exact=True, process_group="world")
    whole = Criterion(denominator=name, exact=True)(p, t, mask=mask)
    assert torch.equal(one(p[part], t[part], mask=mask[part]), whole)
found = l2torch.all_reduced(ErrorStatistics.of(p[part], t[part], weight=w[part], exact=True))
whole = ErrorStatistics.of(p.double(), t.double(), weight=w.double(), exact=True)
assert torch.equal(found.mse, whole.mse)
assert torch.equal(found.mae, whole.mae)
dist.barrier()
dist.destroy_process_group()
os._exit(0)  # past what threads of PyTorch do at the end of Python, which may abort
