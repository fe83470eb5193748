"""Means over devices: eight virtual ones in one process, and four in each of two processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def start(devices, *arguments):
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "PYTHONPATH": os.pathsep.join(
            [str(HERE.parent / "support"), os.environ.get("PYTHONPATH", "")]
        ),
    }
    command = [sys.executable, "-W", "error", HERE / "devices.py", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes)


def rows(processes):
    """The lines that the first of them prints, once all have ended well."""
    told = [process.communicate(timeout=150) for process in processes]
    for process, (_, errors) in zip(processes, told, strict=True):
        assert process.returncode == 0, errors[-5000:]
    return [json.loads(line) for line in told[0][0].splitlines() if line.startswith("{")]


def test_eight_devices(record_property):
    found = rows([start(8)])
    assert len(found) == 4
    for row in found:
        record_property("splits", row)
        assert row["alone"] > 0.1  # by itself each device takes its own mean


def test_two_processes(record_property):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [f"127.0.0.1:{port}", "2"]
    for row in rows([start(4, *arguments, str(i)) for i in range(2)]):
        record_property("splits", {**row, "engine": f"{row['engine']}, 2 processes"})
