"""Least squares in closed form, on every namespace that has decompositions."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge

from l2core import Criterion, least_squares

RNG = np.random.default_rng(1)
X, Y = RNG.standard_normal((60, 5)), RNG.standard_normal(60)
WEIGHT = np.where(np.arange(60) % 7 == 0, 0.0, RNG.uniform(0.1, 3, 60))
HIDDEN = np.where(WEIGHT == 0, np.nan, Y)


@pytest.mark.parametrize("l2", [0.0, 0.7])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_vanishes(harness, weighted, l2):
    """Of our own criterion, to the roundings of the sum; NaN at weight 0 has no part."""
    if harness.name == "tensorflow" or harness.name.startswith("keras"):
        return  # no namespace of the array standard
    dtype = "float64" if "float64" in harness.dtypes else "float32"
    arrays = [harness.array(x, dtype) for x in (X, HIDDEN if weighted else Y)]
    weight = harness.array(WEIGHT, dtype) if weighted else None
    found = least_squares(*arrays, weight, l2)
    w = harness.numpy(found.coefficients).astype(float)
    given = {"weight": WEIGHT} if weighted else {}
    residual = Criterion(reduction="sum").value_and_grad(X @ w, HIDDEN if weighted else Y, **given)[
        1
    ]
    slope = X.T @ residual + 2 * l2 * w
    eps = np.finfo(dtype).eps
    assert np.abs(slope).max() <= 300 * eps * np.abs(X.T @ np.abs(residual)).max()
    assert int(harness.numpy(found.rank)) == 5
    assert harness.numpy(found.coefficients).dtype == dtype


def test_by_numpy_and_scikit_learn():
    data = load_diabetes()
    for weight in (None, RNG.uniform(0.1, 2, len(data.target))):
        root = 1.0 if weight is None else np.sqrt(weight)[:, None]
        expected = np.linalg.lstsq(data.data * root, data.target * np.ravel(root), rcond=None)[0]
        found = least_squares(data.data, data.target, weight).coefficients
        np.testing.assert_allclose(found, expected, rtol=1e-10)
        peer = Ridge(alpha=0.5, fit_intercept=False, solver="svd")
        expected = peer.fit(data.data, data.target, sample_weight=weight).coef_
        found = least_squares(data.data, data.target, weight, 0.5).coefficients
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_several_targets():
    several = RNG.standard_normal((60, 3))
    found = least_squares(X, several)
    assert found.coefficients.shape == (5, 3)
    for k in range(3):
        one = least_squares(X, several[:, k]).coefficients
        np.testing.assert_allclose(found.coefficients[:, k], one, rtol=1e-12)


def test_rank_deficient_data_have_the_smallest_answer():
    twice = np.concatenate([X, X[:, :2] + X[:, 2:4]], axis=1)
    found = least_squares(twice, Y)
    assert found.rank == 5
    np.testing.assert_allclose(found.coefficients, np.linalg.pinv(twice) @ Y, rtol=1e-10)
    wide = least_squares(X.T, Y[:5])
    assert wide.rank == 5
    np.testing.assert_allclose(wide.coefficients, np.linalg.pinv(X.T) @ Y[:5], rtol=1e-9)
    assert least_squares(0 * X, Y).coefficients.tolist() == [0.0] * 5
    assert least_squares(0 * X, Y).rank == 0


def test_no_normal_equation():
    """A condition number of 1e10, whose square has no digit left in float64."""
    u, _, vt = np.linalg.svd(X, full_matrices=False)
    bad = u * np.array([1, 1e-3, 1e-5, 1e-8, 1e-10]) @ vt
    w = np.arange(1.0, 6.0)
    np.testing.assert_allclose(least_squares(bad, bad @ w).coefficients, w, rtol=1e-4)


def test_what_is_wrong():
    for error, name, arguments in (
        (ValueError, "X", (Y, Y)),
        (ValueError, "y", (X, Y[:5])),
        (ValueError, "weight", (X, Y, WEIGHT[:3])),
        (ValueError, "l2", (X, Y, None, -1.0)),
        (TypeError, "l2", (X, Y, None, "1")),
        (TypeError, "X", (X.astype(int), Y)),
        (TypeError, "y", (X, Y + 0j)),
        (TypeError, "X", (None, Y)),
    ):
        with pytest.raises(error, match=f"^{name}: expected "):
            least_squares(*arguments)
