"""``python -m l2core.conformance``."""

import sys

from l2core.__main__ import conformance

sys.exit(conformance(sys.argv[1:]))
