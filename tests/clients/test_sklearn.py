"""scikit-learn: `l2core.scorer` in cross-validation and grid search.

In float64: means of some fifteen terms, each of a dozen roundings of 1.1e-16.
"""

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

import l2core
from l2core import Criterion, Huber, Quantile, scorer

scikit_learn = pytest.mark.client("scikit-learn", "scikit-learn")

RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(45, 2)), 3 * RNG.normal(size=45)
WEIGHT = np.where(np.arange(45) % 3 == 0, 0.0, RNG.uniform(0.5, 2, size=45))
FOLDS = KFold(3)
CLOSE = {"rtol": 1e-13}


class Constant(RegressorMixin, BaseEstimator):
    """Predicts the first column plus a number, whatever it is fitted to."""

    def __init__(self, offset=0.0):
        self.offset = offset

    def fit(self, x, y):
        self.n_features_in_ = x.shape[1]
        return self

    def predict(self, x):
        return x[:, 0] + self.offset


def huber(r, delta):
    return np.where(abs(r) <= delta, r * r / 2, delta * (abs(r) - delta / 2))


def pinball(r, q):
    """Too low (r < 0) costs q a unit, too high 1 - q."""
    return np.where(r > 0, (1 - q) * r, -q * r)


CASES = [
    ("squared_error", lambda r: r * r, False),
    ({"name": "Huber", "delta": 0.5}, lambda r: huber(r, 0.5), False),
    (Criterion(Quantile(0.9)), lambda r: pinball(r, 0.9), False),
    (Criterion(Huber(2), "root_mean"), lambda r: huber(r, 2), True),
]
by_case = pytest.mark.parametrize(("criterion", "rho", "root"), CASES)


def scores(rho, root, offset, weight):
    """Minus the weighted mean of each fold, or its root."""
    means = [
        weight[test] @ rho(X[test, 0] + offset - Y[test]) / weight[test].sum()
        for _, test in FOLDS.split(X)
    ]
    return -np.sqrt(means) if root else -np.array(means)


@scikit_learn
@by_case
def test_cross_val_score(criterion, rho, root):
    """`cross_val_score(scoring=l2core.scorer(...))`: minus the loss by hand, of each fold"""
    found = cross_val_score(Constant(0.5), X, Y, scoring=scorer(criterion), cv=FOLDS)
    np.testing.assert_allclose(found, scores(rho, root, 0.5, np.ones(45)), **CLOSE)
    assert (found < 0).all()


@scikit_learn
@by_case
def test_sample_weight(criterion, rho, root):
    """Sample weights routed to the scorer (`set_score_request`): minus the weighted loss by hand"""
    with sklearn.config_context(enable_metadata_routing=True):
        weighted = scorer(criterion).set_score_request(sample_weight=True)
        found = cross_val_score(
            Constant(0.5), X, Y, scoring=weighted, cv=FOLDS, params={"sample_weight": WEIGHT}
        )
    np.testing.assert_allclose(found, scores(rho, root, 0.5, WEIGHT), **CLOSE)


@scikit_learn
@by_case
def test_grid_search(criterion, rho, root):
    """`GridSearchCV`: every mean score by hand, and the least loss is chosen"""
    offsets = [-4.0, -1.0, 0.0, 0.5, 3.0]
    search = GridSearchCV(Constant(), {"offset": offsets}, scoring=scorer(criterion), cv=FOLDS)
    search.fit(X, Y)
    expected = [scores(rho, root, offset, np.ones(45)).mean() for offset in offsets]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected, **CLOSE)
    assert search.best_params_ == {"offset": offsets[int(np.argmax(expected))]}


@scikit_learn
def test_several_scores():
    """Several scorers by name beside scikit-learn's own: ours of the squared error is its number"""
    search = GridSearchCV(
        Constant(),
        {"offset": [0.0, 1.0]},
        scoring={"ours": scorer(l2core.SquaredError()), "theirs": "neg_mean_squared_error"},
        refit="ours",
        cv=FOLDS,
    ).fit(X, Y)
    result = search.cv_results_
    np.testing.assert_allclose(result["mean_test_ours"], result["mean_test_theirs"], **CLOSE)
