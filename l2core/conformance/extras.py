"""Optional libraries of the conformance suite, or one clear sentence about what is missing."""

from __future__ import annotations

from functools import partial

from l2core.extras import require as required

require = partial(required, extra="conformance")
"""The module; ImportError that says what installs it."""
