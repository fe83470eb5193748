"""Keras on torch: means over the ranks of a process group, in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_ranks(record_property):
    environment = os.environ | {
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(
            [str(HERE.parent / "support"), os.environ.get("PYTHONPATH", "")]
        ),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr"]
    command += ["127.0.0.1", "--nproc-per-node=3", str(HERE / "ranks.py")]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=150
    )
    assert done.returncode == 0, done.stderr[-5000:]
    (row,) = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert row["alone"] > 0.1
    record_property("splits", row)
