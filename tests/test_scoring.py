"""scorer: sign, name and sample weights, in the model selection of scikit-learn."""

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import check_scoring, mean_squared_error
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

import l2core
from l2core import Criterion, GaussianNLL, Huber, Quantile, scorer

X, Y = load_diabetes(return_X_y=True)
WEIGHT = np.where(np.arange(len(Y)) % 3 == 0, 0.0, 1.0 + np.arange(len(Y)) / 100)
FOLDS = KFold(3)


def test_cross_validation():
    """Minus the loss of each fold, which scikit-learn's own metric of it gives too."""
    found = cross_val_score(Ridge(), X, Y, scoring=scorer(), cv=FOLDS)
    theirs = cross_val_score(Ridge(), X, Y, scoring="neg_mean_squared_error", cv=FOLDS)
    np.testing.assert_allclose(found, theirs, rtol=1e-13)  # of 150 terms in float64
    assert all(found < 0)


@pytest.mark.parametrize("criterion", [Criterion(Quantile(0.9)), Quantile(0.9), Criterion("huber")])
def test_weights(criterion):
    """Routed to the scorer; the order of the arguments shows in an asymmetric loss."""
    with sklearn.config_context(enable_metadata_routing=True):
        mine = scorer(criterion).set_score_request(sample_weight=True)
        model = Ridge().set_fit_request(sample_weight=False)
        found = cross_val_score(
            model, X, Y, scoring=mine, cv=FOLDS, params={"sample_weight": WEIGHT}
        )
    loss = criterion.loss if isinstance(criterion, Criterion) else criterion
    for value, (train, test) in zip(found, FOLDS.split(X), strict=True):
        r = Ridge().fit(X[train], Y[train]).predict(X[test]) - Y[test]
        if isinstance(loss, Huber):
            rho = np.where(np.abs(r) <= 1, r * r / 2, np.abs(r) - 0.5)
        else:
            rho = np.maximum(0.1 * r, -0.9 * r)
        np.testing.assert_allclose(-value, np.average(rho, weights=WEIGHT[test]), rtol=1e-12)


def test_grid_search():
    """It chooses what the least loss chooses, in several processes too, and can be pickled."""
    grid = {"alpha": [0.01, 0.1, 1.0, 10.0, 100.0]}
    found = GridSearchCV(Ridge(), grid, scoring=scorer("absolute_error"), cv=FOLDS, n_jobs=2)
    theirs = GridSearchCV(Ridge(), grid, scoring="neg_mean_absolute_error", cv=FOLDS)
    assert found.fit(X, Y).best_params_ == theirs.fit(X, Y).best_params_
    model = Ridge().fit(X, Y)
    again = pickle.loads(pickle.dumps(scorer()))
    assert again(model, X, Y, sample_weight=WEIGHT) == pytest.approx(
        -mean_squared_error(Y, model.predict(X), sample_weight=WEIGHT), rel=1e-13
    )
    assert check_scoring(model, scoring=again) is again


def test_names():
    assert "mean_squared_error" in repr(scorer())
    assert "greater_is_better=False" in repr(scorer())
    assert "root_mean_huber" in repr(scorer(Criterion(Huber(0.5), "root_mean")))


def test_what_is_no_score():
    for criterion in (Criterion(reduction="none"), Criterion(axis=0), Criterion(GaussianNLL())):
        with pytest.raises(ValueError, match=r"^criterion: expected one of one number .*, got "):
            scorer(criterion)
    with pytest.raises(ValueError, match="loss: expected one of"):
        scorer("mse")


def test_an_adapter_is_scored_as_the_core():
    import l2jax

    found = scorer(l2jax.Criterion(Huber(0.5)))
    assert found._score_func.criterion == l2core.Criterion(Huber(0.5))
