"""Checks that an implementation of a loss means what l2core says, for anyone to run."""

from l2core.conformance.harness import Harness, harnesses

__all__ = ["Harness", "harnesses"]
