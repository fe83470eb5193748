"""Huber's loss as the objective of three boosters: derivatives, initial score and metric together."""

import catboost
import lightgbm
import numpy as np
import xgboost
from sklearn.datasets import load_diabetes

from l2core import Huber, boosting

X, y = load_diabetes(return_X_y=True)
weight = np.linspace(0.5, 1.5, len(y))

o = boosting.objective(Huber(30.0), "xgboost")
data = xgboost.DMatrix(X, y, weight=weight)
given = {"base_score": o.initial_score(y, weight), "nthread": 1}
by_xgboost = xgboost.train(given, data, 50, obj=o, custom_metric=o.metric).predict(data)

o = boosting.objective(Huber(30.0), "lightgbm")  # ignores boost_from_average beside it
start = np.full(len(y), o.initial_score(y, weight))
data = lightgbm.Dataset(X, y, weight=weight, init_score=start)
given = {"objective": o, "verbosity": -1, "num_threads": 1}
model = lightgbm.train(given, data, 50, feval=o.metric)
by_lightgbm = model.predict(X) + start  # predictions and validation sets come without it

o = boosting.objective(Huber(30.0), "catboost", target=y)  # which gives it a part at a time
start = np.full(len(y), o.initial_score(y, weight))
data = catboost.Pool(X, y, weight=weight, baseline=start)
model = catboost.CatBoostRegressor(
    iterations=50,
    loss_function=o,
    eval_metric=o.metric,
    leaf_estimation_method="Newton",
    leaf_estimation_iterations=10,
    verbose=False,
    thread_count=1,
    allow_writing_files=False,
)
by_catboost = model.fit(data).predict(data)

for name, pred in (("XGBoost", by_xgboost), ("LightGBM", by_lightgbm), ("CatBoost", by_catboost)):
    print(f"{name:8}  mean |r| {np.average(abs(pred - y), weights=weight):.1f}")
