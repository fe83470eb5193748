"""Run under torchrun by test_ranks.py: the last rank dies; what do the others see?"""

import datetime
import os
import signal
from pathlib import Path

import torch
import torch.distributed as dist

import l2torch

signal.signal(signal.SIGTERM, signal.SIG_IGN)  # by which torchrun ends the others
os.environ["GLOO_SOCKET_IFNAME"] = "lo"
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=5))
criterion = l2torch.Criterion(process_group="world")
x = torch.ones(3, requires_grad=True)
criterion(x, torch.zeros(3))
if dist.get_rank() == dist.get_world_size() - 1:
    os.kill(os.getpid(), signal.SIGKILL)
try:
    value = criterion(x, torch.zeros(3))
except RuntimeError as error:
    text = f"RuntimeError: {str(error).splitlines()[0]}"
else:
    text = f"value: {value.item()}"
# Before torchrun, which ends the rest, does.
Path(os.environ["FOLDER"], f"rank{dist.get_rank()}").write_text(text, encoding="utf-8")
os._exit(0)
