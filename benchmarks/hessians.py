"""Which Hessian serves a booster where the curvature vanishes: `docs/boosters.md` has the table.

Run it where the boosters are: .venv-clients/bin/python -m benchmarks.hessians. Each number is the
loss of held-out data (against the right targets) after 150 rounds, four folds, divided by that of the best rule of the row.
"""

from __future__ import annotations

import datetime
import warnings
from functools import partial

import lightgbm
import numpy as np
import statsmodels.api as sm
import xgboost
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.model_selection import KFold

from l2core import AbsoluteError, Criterion, Huber, Quantile
from l2core.boosting import Objective
from l2core.numpy_namespace import XP

ROUNDS = 150


def middle(size):
    """The median, or the mean where that is 0."""
    return np.median(size) or size.mean()


def at_least(size, share, of):
    return np.maximum(size, share * of(size)).astype(size.dtype)


def slope(loss, r):
    a = np.copysign(at_least(np.abs(r), 0.3, middle), r)
    return loss.psi(a, XP) / a


def chord(loss, r, share, of=middle):
    a = at_least(np.abs(r), share, of)
    return (loss.psi(a, XP) - loss.psi(-a, XP)) / (2 * a)


def one_number(loss, r):
    a = np.abs(r)
    return np.full_like(r, (loss.psi(a, XP) - loss.psi(-a, XP)).mean() / (2 * a.mean()))


RULES = {
    "ones": lambda loss, r: np.ones_like(r),
    "psi/r, a ≥ 0.3 median": slope,
    "chord, a ≥ 0.1 median": partial(chord, share=0.1),
    "chord, a ≥ 0.3 median": partial(chord, share=0.3),
    "chord, a ≥ median": partial(chord, share=1.0),
    "chord, a ≥ mean/4": partial(chord, share=0.25, of=np.mean),
    "one chord for all": one_number,
}


class Tried(Objective):
    """An objective with one of the rules; ones are as it is often written, not scaled."""

    rule = "ones"

    def _curvature(self, r, present, weight):
        return RULES[self.rule](self.loss, r)

    def _scale_of(self, h, present, weight):
        return 1.0 if self.rule == "ones" else super()._scale_of(h, present, weight)


def with_xgboost(own, start, X, y, unseen):
    given = {"max_depth": 4, "eta": 0.1, "nthread": 1, "base_score": start}
    model = xgboost.train(given, xgboost.DMatrix(X, y), ROUNDS, obj=own)
    return model.predict(xgboost.DMatrix(unseen))


def with_lightgbm(own, start, X, y, unseen):
    given = {"num_leaves": 15, "learning_rate": 0.1, "verbosity": -1, "num_threads": 1}
    data = lightgbm.Dataset(X, y, init_score=np.full(len(y), start))
    return start + lightgbm.train(given | {"objective": own}, data, ROUNDS).predict(unseen)


def tables():
    X, y = load_diabetes(return_X_y=True)
    yield "diabetes", X, y
    X, y = make_friedman1(2000, 8, noise=1.0, random_state=0)
    heavy = y + np.random.default_rng(0).standard_t(2, len(y))
    yield "Friedman, heavy tails", X, heavy
    yield "the same in dollars", X, 1e4 * heavy
    gross = heavy.copy()
    gross[np.random.default_rng(1).choice(len(y), 20, replace=False)] += 1e4
    yield "the same, 20 targets wrong", X, gross, heavy
    for name, target, step in (("randhie", "mdvis", 8), ("fair", "affairs", 2)):
        data = getattr(sm.datasets, name).load_pandas().data.iloc[::step]
        yield name, data.drop(columns=target).to_numpy(float), data[target].to_numpy(float)


def main():
    warnings.simplefilter("ignore")
    print(
        f"{datetime.date.today()}: xgboost {xgboost.__version__}, lightgbm {lightgbm.__version__}\n"
    )
    print("| data | loss | booster |", " | ".join(RULES), "|")
    print("|" + " --- |" * (3 + len(RULES)))
    for name, X, y, *right in tables():
        truth = right[0] if right else y
        small = 0.05 * np.subtract(*np.quantile(truth, [0.95, 0.05]))
        for loss in (Huber(float(f"{small:.1g}")), AbsoluteError(), Quantile(0.9), Quantile(0.99)):
            for booster in (with_xgboost, with_lightgbm):
                lost = dict.fromkeys(RULES, 0.0)
                for train, held in KFold(4, shuffle=True, random_state=1).split(X):
                    for rule in RULES:
                        own = Tried(loss)
                        object.__setattr__(own, "rule", rule)
                        start = own.initial_score(y[train])
                        pred = booster(own, start, X[train], y[train], X[held])
                        lost[rule] += float(Criterion(loss)(pred, truth[held]))
                cells = [f"{x / min(lost.values()):.2f}" for x in lost.values()]
                api = booster.__name__.removeprefix("with_")
                print("|", " | ".join([name, repr(loss), api, *cells]), "|", flush=True)


if __name__ == "__main__":
    main()
