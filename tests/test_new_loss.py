"""A loss added at run time works everywhere: no adapter knows the losses by name."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from l2core import LOSSES, Criterion, Loss

pytestmark = pytest.mark.once

R = np.array([-3.0, -0.5, 0.0, 0.25, 2.0, 1.0])
TARGET = np.array([0.5, 0.0, 1.0, -1.0, 0.0, np.nan])
MASK = np.array([True] * 5 + [False])
ULP = 2.0**-23
"""float32; rho, psi and curvature are eight roundings each at most, and a library's log1p."""


@pytest.fixture(scope="module")
def lorentz():
    """½c² log(1 + (r/c)²), as somebody else would write it in their own module."""

    @dataclass(frozen=True)
    class Lorentz(Loss):
        c: float = 1.0

        def rho(self, r, xp):
            s = (1 / self.c) * r
            return (0.5 * self.c**2) * xp.log1p(s * s)

        def psi(self, r, xp):
            s = (1 / self.c) * r
            return r / (s * s + 1.0)

        def curvature(self, r, xp):
            s = (1 / self.c) * r
            square = s * s
            return (1.0 - square) / ((1.0 + square) * (1.0 + square))

    yield Lorentz
    del LOSSES["Lorentz"]


def expected(c):
    rho = [c * c / 2 * math.log1p((r / c) ** 2) for r in R]
    psi = [r / (1 + (r / c) ** 2) for r in R]
    bend = [(1 - (r / c) ** 2) / (1 + (r / c) ** 2) ** 2 for r in R]
    return np.array(rho), np.array(psi), np.array(bend)


def inputs(harness):
    held = np.where(MASK, TARGET, 0) + R
    return harness.array(held, "float32"), harness.array(TARGET, "float32"), harness.array(MASK)


def test_value_and_gradient(harness, mode, lorentz):
    rho, psi, _ = expected(0.7)
    pred, target, mask = inputs(harness)
    criterion = Criterion(lorentz(0.7), denominator="count")
    value, gradient = harness.value_and_grad(criterion, pred, target, mode=mode, mask=mask)
    np.testing.assert_allclose(harness.numpy(value), rho[MASK].mean(), rtol=16 * ULP)
    np.testing.assert_allclose(harness.numpy(gradient), psi * MASK / 5, rtol=16 * ULP, atol=0)


def test_psi_is_the_registered_derivative(harness, lorentz):
    """Twice differentiated it is curvature, where autograd of rho itself would differ in bits."""
    _, _, bend = expected(0.7)
    pred, target, mask = inputs(harness)
    face = harness.face(Criterion(lorentz(0.7), "sum"))
    if "second" in harness.features:
        found = harness.features["second"](lambda p: face(p, target, mask=mask), pred)
        # 1 - s² loses up to s² / |1 - s²| of relative accuracy; here less than 5.
        np.testing.assert_allclose(harness.numpy(found), bend * MASK, rtol=80 * ULP, atol=0)


def test_config(harness, lorentz):
    criterion = Criterion(lorentz(0.7), "root_mean")
    config = json.loads(json.dumps(criterion.to_config()))
    assert config["loss"] == {"name": "Lorentz", "c": 0.7}
    again = Criterion.from_config(config)
    assert again == criterion
    pred, target, mask = inputs(harness)
    first, second = (
        harness.numpy(harness.face(c)(pred, target, mask=mask)) for c in (criterion, again)
    )
    assert first == second


def test_it_is_known_by_its_name(lorentz):
    assert LOSSES["Lorentz"] is lorentz
