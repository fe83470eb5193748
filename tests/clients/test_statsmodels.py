"""statsmodels: our losses as its norms, and our own fit beside its."""

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.robust import norms

from l2core import Cauchy, Huber, Tukey, least_squares, robust, solvers

statsmodels = pytest.mark.client("statsmodels", "statsmodels")
STACK = sm.datasets.stackloss.load_pandas()
SCOTLAND = sm.datasets.scotland.load_pandas()
DATA = [
    (sm.add_constant(np.asarray(each.exog, float)), np.asarray(each.endog, float))
    for each in (STACK, SCOTLAND)
]
by_data = pytest.mark.parametrize(("x", "y"), DATA, ids=["stackloss", "scotland"])
NORMS = [(Huber(1.345), norms.HuberT(1.345)), (Tukey(4.685), norms.TukeyBiweight(4.685))]
by_norm = pytest.mark.parametrize(("loss", "norm"), NORMS, ids=["huber", "tukey"])


@statsmodels
@by_data
@by_norm
def test_norms(x, y, loss, norm):
    """`RLM(M=l2core.solvers.statsmodels_norm(loss))`: parameters and standard errors of its own norm"""
    ours, theirs = (
        sm.RLM(y, x, M=each).fit(tol=1e-12, maxiter=500)
        for each in (solvers.statsmodels_norm(loss), norm)
    )
    np.testing.assert_allclose(ours.params, theirs.params, rtol=1e-9)
    np.testing.assert_allclose(ours.bse, theirs.bse, rtol=1e-9)


@statsmodels
@by_data
@by_norm
def test_fit(x, y, loss, norm):
    """`l2core.robust.fit` beside `RLM`: the same coefficients, scale and weights to 1e-8"""
    theirs = sm.RLM(y, x, M=norm).fit(tol=1e-13, maxiter=2000)
    ours = robust.fit(x, y, loss, tolerance=1e-12, iterations=2000)
    assert ours.converged
    np.testing.assert_allclose(ours.coefficients, theirs.params, rtol=1e-8)
    np.testing.assert_allclose(ours.scale, theirs.scale, rtol=1e-8)
    np.testing.assert_allclose(ours.weight, theirs.weights, rtol=1e-7, atol=1e-8)


@statsmodels
@by_data
def test_least_squares(x, y):
    """`l2core.least_squares` beside `OLS` and `WLS`: the same coefficients to 1e-9"""
    weight = np.linspace(0.5, 2, len(y))
    ours = least_squares(x, y).coefficients, least_squares(x, y, weight).coefficients
    theirs = sm.OLS(y, x).fit().params, sm.WLS(y, x, weights=weight).fit().params
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@statsmodels
def test_a_norm_of_no_name():
    """A loss that statsmodels has no norm for (Cauchy) in `RLM`: our own fit to 1e-8"""
    x, y = DATA[0]
    theirs = sm.RLM(y, x, M=solvers.statsmodels_norm(Cauchy(2.385))).fit(tol=1e-13, maxiter=2000)
    ours = robust.fit(x, y, Cauchy(2.385), tolerance=1e-12, iterations=2000)
    np.testing.assert_allclose(ours.coefficients, theirs.params, rtol=1e-8)
