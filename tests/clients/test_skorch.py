"""skorch: the loss as a parameter of the estimator, for scikit-learn's tools."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from skorch import NeuralNetRegressor

import l2torch

skorch = pytest.mark.client("skorch", "skorch")

RNG = np.random.default_rng(3)
X = RNG.normal(size=(30, 3))
Y = X @ np.array([1.0, -2.0, 0.5]) + RNG.standard_cauchy(size=30)
RATE, EPOCHS = 0.1, 5
# float64: five steps of some sixty roundings of 1.1e-16 each, on numbers below 100.
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, x):
        return x @ self.kernel


def net(**loss):
    return NeuralNetRegressor(
        Linear,
        criterion=l2torch.Criterion,
        optimizer=torch.optim.SGD,
        lr=RATE,
        max_epochs=EPOCHS,
        batch_size=-1,
        train_split=None,
        verbose=0,
        **loss,
    )


def fitted(x, y, psi):
    k = np.zeros(3)
    for _ in range(EPOCHS):
        k = k - RATE * psi(x @ k - y) @ x / len(y)
    return k


def clipped(delta):
    return lambda r: np.clip(r, -delta, delta)


LOSSES = [
    ("huber", clipped(1.0)),
    ({"name": "Huber", "delta": 0.5}, clipped(0.5)),
    ("squared_error", lambda r: 2 * r),
]


@skorch
@pytest.mark.parametrize(("loss", "psi"), LOSSES[:2])
def test_training(loss, psi):
    """`criterion=l2torch.Criterion, criterion__loss=` a name or a mapping: it trains as by hand; \
a clone too, and one with another loss set"""
    estimator = net(criterion__loss=loss)
    for each in (estimator, clone(estimator)):
        each.fit(X, Y)
        np.testing.assert_allclose(each.module_.kernel.detach().numpy(), fitted(X, Y, psi), **CLOSE)
    estimator.set_params(criterion__loss="absolute_error").fit(X, Y)
    np.testing.assert_allclose(
        estimator.module_.kernel.detach().numpy(), fitted(X, Y, np.sign), **CLOSE
    )


@skorch
def test_grid_search():
    """`GridSearchCV` over `criterion__loss`: each score is that by hand, and the best is chosen"""
    folds = KFold(3)
    search = GridSearchCV(
        net(),
        {"criterion__loss": [loss for loss, _ in LOSSES]},
        scoring="neg_median_absolute_error",
        cv=folds,
        refit=True,
    ).fit(X, Y)
    scores = [
        np.mean(
            [
                -np.median(abs(X[test] @ fitted(X[train], Y[train], psi) - Y[test]))
                for train, test in folds.split(X)
            ]
        )
        for _, psi in LOSSES
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], scores, **CLOSE)
    assert len(set(scores)) == len(scores)  # else the choice says nothing
    assert search.best_params_["criterion__loss"] == LOSSES[int(np.argmax(scores))][0]
