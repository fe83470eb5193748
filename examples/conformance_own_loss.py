"""A weighted MSE of one's own, with a mistake, and the conformance checks finding it.

Run it as a script, which tells what was found; or as the pytest file that it is, whose first test
fails: pytest examples/conformance_own_loss.py
"""

import sys

import pytest
import torch

from l2core import Criterion
from l2core.conformance import Claim, Subject, parametrize_checks


def weighted_mse(pred, target, weight=None):
    """Weights of shape (N,) or that of pred."""
    squared, weight = squared_errors(pred, target, weight)
    return (weight * squared).mean()  # the mistake: a weighted mean divides by the sum of weights


def mended_mse(pred, target, weight=None):
    squared, weight = squared_errors(pred, target, weight)
    return (weight * squared).sum() / weight.expand(squared.shape).sum()


def squared_errors(pred, target, weight):
    if pred.shape != target.shape:
        raise ValueError(f"target: expected shape {tuple(pred.shape)}, got {tuple(target.shape)}")
    if weight is None:
        weight = torch.ones_like(pred)
    return (pred - target) ** 2, weight.reshape(weight.shape + (1,) * (pred.ndim - weight.ndim))


# --- the tests ------------------------------------------------------------------------------------


def described(function):
    """What the function says of itself: a mean squared error in PyTorch, with weights."""
    return Subject(
        name=function.__name__,
        harness="torch",
        claims=(Claim(Criterion(reduction="mean"), function),),
        takes={"weight": "weight"},
        weights=("sample", "element"),
        halves=None,  # it is not for float16 and bfloat16
    )


# What it does not promise, with the reason. An entry whose check passes is an error.
LEDGER = {
    "semantics/zero-weight": "it multiplies by the weights: NaN times 0 is NaN",
    "calculus/absent": "it multiplies by the weights: NaN times 0 is NaN",
    "semantics/dtype-of-result": "it is for float32 and float64 alone",
    "semantics/integers": "it is for float32 and float64 alone",
    "semantics/complex-numbers": "it is for float32 and float64 alone",
}


@parametrize_checks(described(weighted_mse), expected_failures=LEDGER)
def test_weighted_mse(check):
    check()


@parametrize_checks(described(mended_mse), expected_failures=LEDGER)
def test_mended_mse(check):
    check()


# --- as a script ----------------------------------------------------------------------------------


class Listener:
    """The failures of a pytest run, by test."""

    def __init__(self):
        self.failures = {}

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failures[report.nodeid.partition("::")[2]] = report.longrepr.reprcrash.message


if __name__ == "__main__":
    listener = Listener()
    quiet = ["-q", "--tb=no", "--no-summary", "-p", "no:cacheprovider", "-p", "no:warnings"]
    pytest.main([__file__, "-c", "/dev/null", *quiet], [listener])
    print("\nWhat fails:", *listener.failures, sep="\n  ")
    print("\nOne of them:\n")
    print(listener.failures["test_weighted_mse[weighted_mse-semantics/weighted-mean]"])
    sys.exit(any("mended" in test for test in listener.failures))
