"""The command ``l2core``."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

COMMANDS = {
    "conformance": ("l2core.conformance.__main__", "command", "check implementations of losses"),
    "diagnose": ("l2core.diagnosis.command", "main", "is squared error right for these data"),
    "explain": ("l2core.explanation.command", "main", "which convention printed this number"),
}


def main() -> int:
    """``l2core COMMAND``: its status; each command has a --help of its own."""
    each = "; ".join(f"{name}: {text}" for name, (_, _, text) in COMMANDS.items())
    parser = argparse.ArgumentParser("l2core", description=__doc__)
    parser.add_argument("command", choices=COMMANDS, help=each)
    given = parser.parse_args(sys.argv[1:2])
    module, function, _ = COMMANDS[given.command]
    run = getattr(import_module(module), function)
    return int(run(sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
