"""One loss as the objective of three boosters, beside what each has built in.

Four-fold cross-validation, the loss at the best round of each; below 1 ours is better. The data:
scikit-learn's diabetes, and a table made like California's housing: skewed, with heavy tails, in
dollars. Squared error is not here: it gives the built-in objective's model bit for bit.
"""

import datetime
import sys
import warnings

import catboost
import lightgbm
import numpy as np
import xgboost
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold

from l2core import AbsoluteError, Criterion, Huber, Quantile, boosting

warnings.simplefilter("ignore")
ROUNDS, SEED = 150, 0


def housing(n=1500):
    """Prices that depend on place, income and age, with errors that grow with the price."""
    rng = np.random.default_rng(SEED)
    place, income = rng.uniform(-1, 1, (n, 2)), rng.lognormal(1.2, 0.45, n)
    age, rooms = rng.uniform(1, 52, n), rng.lognormal(1.6, 0.3, n)
    coast = np.exp(-4 * abs(place[:, 0] + 0.6 * place[:, 1]))
    price = 45_000 * income * (1 + coast) + 400 * age + 5_000 * rooms
    price *= np.exp(0.12 * rng.standard_t(3, n))
    return np.column_stack([place, income, age, rooms]), price


def curve(predictions, loss, target):
    """The mean loss after each number of rounds."""
    return [float(Criterion(loss)(p, target)) for p in predictions]


def with_xgboost(loss, own, train, test):
    given = {"max_depth": 4, "eta": 0.1, "nthread": 1, "base_score": own.initial_score(train[1])}
    data, unseen = xgboost.DMatrix(*train), xgboost.DMatrix(test[0])
    delta, q = getattr(loss, "delta", None), getattr(loss, "q", None)
    built_in = {"objective": "reg:absoluteerror"}
    if delta:
        built_in = {"objective": "reg:pseudohubererror", "huber_slope": delta}
    if q:
        built_in = {"objective": "reg:quantileerror", "quantile_alpha": q}
    for parameters, objective in ((given, own), (given | built_in, None)):
        model = xgboost.train(parameters, data, ROUNDS, obj=objective)
        rounds = range(1, ROUNDS + 1)
        yield [model.predict(unseen, iteration_range=(0, k)) for k in rounds]


def with_lightgbm(loss, own, train, test):
    given = {"num_leaves": 15, "learning_rate": 0.1, "verbosity": -1, "num_threads": 1}
    start = own.initial_score(train[1])
    delta, q = getattr(loss, "delta", None), getattr(loss, "q", None)
    name, alpha = ("huber", delta) if delta else ("quantile", q) if q else ("l1", 0.9)
    for objective, init in ((own, np.full(len(train[1]), start)), (name, None)):
        data = lightgbm.Dataset(*train, init_score=init)
        model = lightgbm.train(given | {"objective": objective, "alpha": alpha}, data, ROUNDS)
        rounds = range(1, ROUNDS + 1)
        before = 0.0 if init is None else start
        yield [before + model.predict(test[0], num_iteration=k) for k in rounds]


def with_catboost(loss, own, train, test):
    given = {"iterations": ROUNDS, "depth": 4, "learning_rate": 0.1, "thread_count": 1}
    given |= {"random_seed": SEED, "verbose": False, "allow_writing_files": False}
    start = own.initial_score(train[1])
    delta, q = getattr(loss, "delta", None), getattr(loss, "q", None)
    name = f"Huber:delta={delta}" if delta else f"Quantile:alpha={q}" if q else "MAE"
    newton = {"leaf_estimation_method": "Newton", "leaf_estimation_iterations": 10}
    for parameters in (
        {"loss_function": own, "eval_metric": own.metric} | newton,
        {"loss_function": name},
    ):
        model = catboost.CatBoostRegressor(**given, **parameters)
        model.fit(catboost.Pool(*train, baseline=np.full(len(train[1]), start)))
        yield [start + p for p in model.staged_predict(test[0])]


BOOSTERS = {"xgboost": with_xgboost, "lightgbm": with_lightgbm, "catboost": with_catboost}


def rows():
    """Data, loss, and of each booster the quotient of both losses."""
    diabetes = load_diabetes()
    sets = {"diabetes": (diabetes.data, diabetes.target), "housing": housing()}
    for name, (X, y) in sets.items():
        spread = np.subtract(*np.quantile(y, [0.75, 0.25]))
        for loss in (Huber(round(0.3 * spread, 1)), AbsoluteError(), Quantile(0.1), Quantile(0.9)):
            row = [name, repr(loss)]
            for api, run in BOOSTERS.items():
                curves = []
                for train, held in KFold(4, shuffle=True, random_state=SEED).split(X):
                    own = boosting.objective(loss, api, target=y[train])
                    both = run(loss, own, (X[train], y[train]), (X[held], y[held]))
                    curves.append([curve(p, loss, y[held]) for p in both])
                ours, theirs = np.mean(curves, axis=0).min(axis=1)
                row.append(f"{ours / theirs:.3f}")
            yield row


def main():
    versions = [f"{m.__name__} {m.__version__}" for m in (xgboost, lightgbm, catboost)]
    header = ["data", "loss", *versions]
    if "--markdown" in sys.argv:
        print(f"{datetime.date.today()}\n")
        for row in (header, ["---"] * 5, *rows()):
            print("|", " | ".join(row), "|")
        return
    table = Table(*header, title="Loss of held-out data, ours / built in")
    for row in rows():
        table.add_row(*row)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
