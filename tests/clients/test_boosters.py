"""XGBoost, LightGBM, CatBoost: `l2core.boosting.objective` on scikit-learn's diabetes data.

Squared error gives the model of the built-in objective to the bit, weighted too. For other losses
`examples/clients/boosters.py` has the quality of the models.
"""

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_diabetes

from l2core import Criterion, Huber, Quantile, boosting

X, Y = load_diabetes(return_X_y=True)
RNG = np.random.default_rng(3)
WEIGHT = RNG.uniform(0.1, 3, len(Y)).astype(np.float32)
ROUNDS = 40
by_weight = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
by_loss = pytest.mark.parametrize("loss", ["squared_error", "half_squared_error"])
on_xgboost = pytest.mark.client("XGBoost", "xgboost-cpu")
on_lightgbm = pytest.mark.client("LightGBM", "lightgbm")
on_catboost = pytest.mark.client("CatBoost", "catboost")
FOREST = {"max_depth": 4, "eta": 0.1, "nthread": 1}
LEAVES = {"num_leaves": 15, "learning_rate": 0.1, "verbosity": -1, "num_threads": 1}


def mean(loss, pred, weight):
    return float(Criterion(loss)(pred.astype(float), Y, weight=weight))


@on_xgboost
@by_weight
@by_loss
def test_xgboost_squared_error(loss, weight):
    """Squared and half squared error, weighted too: the model of `reg:squarederror` to the bit, its initial score too"""
    o = boosting.objective(loss, "xgboost")
    data = xgboost.DMatrix(X, Y, weight=weight)
    start = {"base_score": o.initial_score(Y, weight)}
    ours = xgboost.train(FOREST | start, data, ROUNDS, obj=o)
    theirs = xgboost.train(FOREST | {"objective": "reg:squarederror"}, data, ROUNDS)
    np.testing.assert_array_equal(ours.predict(data), theirs.predict(data))


@on_xgboost
@by_weight
def test_xgboost_regressor(weight):
    """`XGBRegressor(objective=, eval_metric=)` with `sample_weight`: the model of `train` to the bit, the metric by hand"""
    o = boosting.objective(Huber(30.0), "xgboost")
    start, seen = o.initial_score(Y, weight), {}
    data = xgboost.DMatrix(X, Y, weight=weight)
    booster = xgboost.train(
        FOREST | {"base_score": start},
        data,
        ROUNDS,
        obj=o,
        custom_metric=o.metric,
        evals=[(data, "train")],
        evals_result=seen,
        verbose_eval=False,
    )
    model = xgboost.XGBRegressor(
        objective=o,
        base_score=start,
        eval_metric=o.metric,
        n_estimators=ROUNDS,
        max_depth=4,
        learning_rate=0.1,
        n_jobs=1,
    )
    weights = None if weight is None else [weight]
    sets = {"eval_set": [(X, Y)], "sample_weight_eval_set": weights}
    model.fit(X, Y, sample_weight=weight, verbose=False, **sets)
    pred = booster.predict(data)
    np.testing.assert_array_equal(model.predict(X), pred)
    expected = mean(o.loss, pred, weight)
    found = model.evals_result()["validation_0"]["mean_huber"][-1], seen["train"]["mean_huber"][-1]
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # XGBoost adds up in float32
    assert expected < 0.6 * mean(o.loss, np.full(len(Y), start), weight)


@on_lightgbm
@by_weight
@by_loss
def test_lightgbm_squared_error(loss, weight):
    """Squared and half squared error, weighted too: the model of `regression` to the bit, from the same initial score"""
    o = boosting.objective(loss, "lightgbm")
    start = np.full(len(Y), o.initial_score(Y, weight))
    ours, theirs, average = (
        lightgbm.train(
            LEAVES | {"objective": each},
            lightgbm.Dataset(X, Y, weight=weight, init_score=init),
            ROUNDS,
        )
        for each, init in ((o, start), ("regression", start), ("regression", None))
    )
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(start + ours.predict(X), average.predict(X), rtol=1e-9)


@on_lightgbm
@by_weight
def test_lightgbm_regressor(weight):
    """`LGBMRegressor(objective=)`, `fit(sample_weight=, init_score=, eval_metric=)`: the model of `train` to the bit, the metric by hand"""
    o = boosting.objective(Quantile(0.8), "lightgbm")
    start = np.full(len(Y), o.initial_score(Y, weight))
    data = lightgbm.Dataset(X, Y, weight=weight, init_score=start)
    booster = lightgbm.train(LEAVES | {"objective": o}, data, ROUNDS)
    model = lightgbm.LGBMRegressor(
        objective=o, n_estimators=ROUNDS, num_leaves=15, n_jobs=1, verbosity=-1
    )
    weights = None if weight is None else [weight]
    sets = {"eval_set": [(X, Y)], "eval_init_score": [start], "eval_sample_weight": weights}
    model.fit(X, Y, sample_weight=weight, init_score=start, eval_metric=o.metric, **sets)
    pred = start + booster.predict(X)
    np.testing.assert_array_equal(start + model.predict(X), pred)
    expected = mean(o.loss, pred, weight)
    found = model.evals_result_["training"]["mean_quantile"][-1]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert expected < 0.6 * mean(o.loss, start, weight)


def catboosted(o, name, weight, steps=1):
    """Ours and the built-in objective from the same initial score, and their data."""
    start = np.full(len(Y), o.initial_score(Y, weight))
    data = catboost.Pool(X, Y, weight=weight, baseline=start)
    how = {"iterations": ROUNDS, "depth": 4, "learning_rate": 0.1, "thread_count": 1}
    how |= {"verbose": False, "random_seed": 0, "allow_writing_files": False}
    newton = {"leaf_estimation_method": "Newton", "leaf_estimation_iterations": steps}
    ours = catboost.CatBoostRegressor(loss_function=o, eval_metric=o.metric, **how, **newton)
    theirs = catboost.CatBoostRegressor(loss_function=name, **how, **newton)
    return ours.fit(data), theirs.fit(data), data, start


@on_catboost
@by_weight
@by_loss
def test_catboost_squared_error(loss, weight):
    """Squared and half squared error, weighted too: the model of `RMSE` to the bit, from the same initial score"""
    ours, theirs, data, _ = catboosted(boosting.objective(loss, "catboost"), "RMSE", weight)
    np.testing.assert_array_equal(ours.predict(data), theirs.predict(data))


@on_catboost
@by_weight
def test_catboost_metric(weight):
    """A Huber loss with its metric, weighted too: the mean by hand, far below that of the initial score"""
    o = boosting.objective(Huber(30.0), "catboost", target=Y, weight=weight)
    ours, _, data, start = catboosted(o, "RMSE", weight, steps=10)
    expected = mean(o.loss, ours.predict(data), weight)
    (found,) = ours.get_best_score()["learn"].values()
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert expected < 0.7 * mean(o.loss, start, weight)


@on_catboost
def test_catboost_in_parts():
    """L1 of 3,000 rows, of which CatBoost gives 500 at a time, half of them noisy: as near the truth as `MAE`, sorted too"""
    x = RNG.uniform(-2, 2, (3000, 3))
    truth = 2 * x[:, 0] + np.sin(3 * x[:, 1])
    y = truth + RNG.standard_normal(3000) * np.where(np.arange(3000) < 1500, 1, 100)
    o = boosting.objective("absolute_error", "catboost", target=y)
    how = {"iterations": 100, "depth": 4, "learning_rate": 0.1, "thread_count": 1}
    how |= {"verbose": False, "allow_writing_files": False, "random_seed": 0}
    start = np.full(3000, o.initial_score(y))
    data = catboost.Pool(x, y, baseline=start)
    newton = {"leaf_estimation_method": "Newton", "leaf_estimation_iterations": 10}
    ours = catboost.CatBoostRegressor(loss_function=o, eval_metric=o.metric, **how, **newton)
    theirs = catboost.CatBoostRegressor(loss_function="MAE", **how)
    off = [np.abs(m.fit(data).predict(data) - truth).mean() for m in (ours, theirs)]
    assert off[0] < 1.1 * off[1] < 1.0
