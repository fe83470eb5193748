"""The command ``l2core``."""

from __future__ import annotations

import argparse
import sys

from l2core.conformance.__main__ import command


def main() -> int:
    """``l2core conformance``: check every installed implementation, or one's own."""
    parser = argparse.ArgumentParser("l2core", description=__doc__)
    parser.add_argument("command", choices=["conformance"], help="check implementations of losses")
    given, rest = parser.parse_known_args(sys.argv[1:2])
    del given
    return command([*rest, *sys.argv[2:]])


if __name__ == "__main__":
    sys.exit(main())
