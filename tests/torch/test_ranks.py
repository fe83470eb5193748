"""Means over the ranks of a process group, in processes of their own, on the loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import l2torch

HERE = Path(__file__).parent


def torchrun(script, *arguments, ranks=3, folder, check=True):
    environment = os.environ | {
        "FOLDER": str(folder),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(
            [str(HERE.parent / "support"), os.environ.get("PYTHONPATH", "")]
        ),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr"]
    command += ["127.0.0.1", f"--nproc-per-node={ranks}", str(HERE / script), *arguments]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0 or not check, done.stderr[-6000:]
    return done.stdout


def test_the_mean_over_ranks_micro_batches_and_engines(tmp_path, record_property):
    checks = (
        "grid",
        "compiled",
        "other_denominators",
        "refused",
        "learned_weights",
        "silent_backward",
        "statistics",
        "metrics",
        "uneven_dtensors",
        "checkpoints",
    )
    found = torchrun("ranks.py", *checks, folder=tmp_path)
    rows = [json.loads(line) for line in found.splitlines() if line.startswith("{")]
    assert len(rows) >= 4  # 5 where FSDP2 runs on a CPU
    for row in rows:
        record_property("splits", row)
        # The test could fail: by themselves the engines are far off.
        assert row.get("alone", 1) > 0.3


def test_exact_values_of_all_ranks(tmp_path):
    torchrun("exact_ranks.py", folder=tmp_path)


@pytest.mark.scripts
def test_compiled_without_a_private_name(tmp_path):
    torchrun("ranks.py", "compiled", "public", ranks=2, folder=tmp_path)


def test_a_rank_that_dies_leaves_an_error(tmp_path):
    """The engine's own, in its time, on each of the others; never a number."""
    torchrun("dies.py", folder=tmp_path, check=False)
    for rank in (0, 1):
        assert (tmp_path / f"rank{rank}").read_text().startswith("RuntimeError: ")


def test_before_there_are_ranks(monkeypatch):
    """One process alone is the world; one of several that has not been told of the others is not."""
    criterion = l2torch.MSELoss()
    criterion.process_group = "world"
    x, zero = torch.tensor([3.0], requires_grad=True), torch.zeros(1)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    value = criterion(x, zero)
    value.backward()
    assert (value.item(), x.grad.item()) == (9.0, 6.0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match=r"^process_group: expected .*init_process_group"):
        criterion(x, zero)
    criterion.process_group = None
    assert criterion(x, zero).item() == 9.0


@pytest.mark.parametrize("group", ["local", 3, torch.nn.Linear(1, 1)])
def test_what_is_no_group(group):
    with pytest.raises(
        TypeError, match=r"^process_group: expected a torch.distributed.ProcessGroup"
    ):
        l2torch.Criterion(process_group=group)
    with pytest.raises(
        ValueError, match=r"^gradients: expected one of 'average', 'sum', got 'mean'"
    ):
        l2torch.Criterion(gradients="mean")
    with pytest.raises(TypeError, match=r"^state: expected Terms or ErrorStatistics"):
        l2torch.all_reduced(torch.ones(1))


def test_a_graph_that_would_lose_the_group():
    """torch.fx keeps a loss that is a submodule whole; of another it keeps the meaning alone."""

    class Model(torch.nn.Module):
        def __init__(self, loss):
            super().__init__()
            self.loss = loss

        def forward(self, x, y):
            return self.loss(x, y)

    loss = l2torch.Criterion(process_group="world")
    graph = torch.fx.symbolic_trace(Model(loss))
    assert graph.loss.process_group == "world"
    with pytest.raises(RuntimeError, match=r"^process_group: expected a loss that is a submodule"):
        torch.fx.symbolic_trace(loss)


def test_attributes():
    criterion = l2torch.Criterion("huber", process_group="world", gradients="sum")
    assert repr(criterion) == "Criterion(Huber(delta=1.0), process_group='world', gradients='sum')"
    criterion.gradients = "average"
    criterion.delta = 0.5
    assert (criterion.process_group, criterion.gradients) == ("world", "average")
    assert "process_group" not in criterion.to_config()
    assert not dist.is_initialized()
