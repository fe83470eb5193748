"""Keras on JAX: data parallelism, on two virtual CPU devices in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path


def test_data_parallel(record_property):
    support = Path(__file__).parent.parent / "support"
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("data_parallel.py")],
        env=os.environ
        | {
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
            "PYTHONPATH": f"{support}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record_property("splits", json.loads(done.stdout.splitlines()[-1]))
