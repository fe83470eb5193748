"""The command ``l2core``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main() -> int:
    """``l2core conformance``: check every installed implementation, or one's own."""
    parser = argparse.ArgumentParser("l2core", description=__doc__)
    parser.add_argument("command", choices=["conformance"], help="check implementations of losses")
    given, rest = parser.parse_known_args(sys.argv[1:2])
    del given
    return conformance([*rest, *sys.argv[2:]])


def conformance(arguments: Sequence[str]) -> int:
    """The command's exit status; where an extra is missing 2, and one sentence about it."""
    try:
        from l2core.conformance.cli import main as run

        return run(arguments)
    except ImportError as error:
        if "pip install" not in str(error):
            raise
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
