"""``python -m l2core.conformance``."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def command(arguments: Sequence[str]) -> int:
    """The command's exit status; where an extra is missing 2, and one sentence about it."""
    try:
        from l2core.conformance.cli import main

        return main(arguments)
    except ImportError as error:
        if "pip install" not in str(error):
            raise
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
