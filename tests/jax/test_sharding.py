"""pmap, shard_map and sharded jit, on two virtual CPU devices, which need a process of their own."""

import os
import subprocess
import sys
from pathlib import Path


def test_two_devices():
    script = Path(__file__).with_name("two_devices.py")
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
