"""A criterion is called (pred, target); scikit-learn calls (true, pred), and is told."""

import json

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score

import l2core
from l2core import HalfSquaredError, Quantile, SquaredError

pytestmark = pytest.mark.once

X = np.arange(40.0)[:, None]
Y = np.random.default_rng(0).standard_exponential(40)
RIGHT = r"got one from sklearn.*l2core\.scorer\(criterion\)"


@pytest.mark.parametrize("loss", [Quantile(0.9), SquaredError(), HalfSquaredError()], ids=repr)
def test_scorers_of_scikit_learn(loss):
    criterion = l2core.Criterion(loss)
    found, raised = None, ""
    try:
        scorer = make_scorer(criterion, greater_is_better=False)
        found = cross_val_score(DummyRegressor(), X, Y, scoring=scorer, error_score="raise")
    except (TypeError, AttributeError) as error:
        raised = str(error)
    if found is None:
        assert "sklearn, which calls (y_true, y_pred): give it" in raised
    else:
        right = make_scorer(lambda t, p: criterion(p, t), greater_is_better=False)
        assert (found == cross_val_score(DummyRegressor(), X, Y, scoring=right)).all()


def test_an_asymmetric_loss_chooses_no_other_quantile():
    criterion = l2core.Criterion(Quantile(0.9))
    search = GridSearchCV(
        QuantileRegressor(alpha=0),
        {"quantile": [0.1, 0.9]},
        scoring=make_scorer(criterion, greater_is_better=False),
        error_score="raise",
    )
    with pytest.raises((TypeError, AttributeError), match=RIGHT):
        search.fit(X, Y)

    search.set_params(scoring=l2core.scorer(criterion))
    assert search.fit(X, Y).best_params_ == {"quantile": 0.9}


def test_a_name_that_is_not_there_is_still_not_there():
    criterion = l2core.Criterion()
    for name in ("name", "__name__", "nothing"):
        assert not hasattr(criterion, name)
    assert json.loads(json.dumps(criterion.to_config()))["loss"] == {"name": "SquaredError"}
