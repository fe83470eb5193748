"""Keras on JAX: data parallelism, on two virtual CPU devices in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path


def test_data_parallel():
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("data_parallel.py")],
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
