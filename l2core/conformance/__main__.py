"""Run the conformance suite."""

import sys

from l2core.conformance.extras import require

if __name__ == "__main__":
    require("hypothesis")
    from l2core.conformance.cli import main

    sys.exit(main())
