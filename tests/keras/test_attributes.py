"""What is set on a Keras loss after construction takes effect, or raises."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

import l2core
import l2keras

Y = np.zeros((3, 4), "float32")
P = np.linspace(-2, 3, 12, dtype="float32").reshape(3, 4)
WEIGHT = np.array([1.0, 0.0, 3.0], "float32")
REDUCTIONS = ["sum", "none", "mean", "mean_with_sample_weight", None, "sum_over_batch_size"]


def value(loss):
    return keras.ops.convert_to_numpy(loss(Y, P, WEIGHT))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("before", ["sum_over_batch_size", "none"])
def test_the_reduction_of_a_drop_in(before, reduction):
    loss, theirs = l2keras.Huber(0.5, before), keras.losses.Huber(0.5, before)
    loss.reduction = theirs.reduction = reduction
    assert loss.reduction == theirs.reduction
    assert_allclose(value(loss), keras.ops.convert_to_numpy(theirs(Y, P, WEIGHT)), 32 * 2**-24)
    again = type(loss).from_config(loss.get_config())
    assert (value(again) == value(loss)).all()


def test_the_parameters_of_a_drop_in():
    loss = l2keras.Huber(0.5)
    assert loss.delta == 0.5
    loss.delta = 0.1
    assert loss.delta == loss.get_config()["delta"] == 0.1
    assert value(loss) == value(l2keras.Huber(0.1))


def test_fields_and_parameters_of_a_criterion():
    loss = l2keras.Criterion(l2core.Huber(), name="mine")
    assert loss.reduction == "mean"
    wanted = {"delta": 0.1, "reduction": "root_mean", "denominator": "count", "axis": 0}
    for name, x in (wanted | {"empty": "zero", "nan_targets": "ignore"}).items():
        setattr(loss, name, x)
        assert getattr(loss, name) == x
    expected = l2core.Criterion(l2core.Huber(0.1), "root_mean", "count", 0, "zero", "ignore")
    assert loss.criterion.to_config() == expected.to_config()
    assert (value(loss) == value(l2keras.Criterion.of(expected))).all()
    assert l2keras.Criterion.from_config(loss.get_config()).criterion == loss.criterion


def test_what_is_set_is_checked():
    loss = l2keras.Huber()
    for name, x in (("reduction", "average"), ("delta", -1.0)):
        with pytest.raises(ValueError, match=name):
            setattr(loss, name, x)
    for name in ("axis", "denominator", "loss", "weight", "quantile"):
        with pytest.raises(AttributeError, match=f"^{name}: expected"):
            setattr(loss, name, 1)
    assert loss.get_config() == l2keras.Huber().get_config()
    loss.name = "another"
    assert loss.get_config()["name"] == "another"


def test_users_classes_have_attributes_of_their_own():
    class Own(l2keras.MeanSquaredError):
        def __init__(self):
            super().__init__()
            self.scale = 2.0

    own = Own()
    own.scale = 3.0
    assert own.scale == 3.0
    with pytest.raises(AttributeError, match="'Own' object has no attribute 'delta'"):
        own.delta  # noqa: B018


def test_private_names_that_are_missing_have_a_substitute():
    """Of Keras and TensorFlow: the module gone, or the name."""
    from l2keras import internals

    for module in ("keras.src.no_such_module", "keras.src.backend"):
        assert internals.found(module, "no_such_name", "instead") == "instead"
    x = type("Tensor", (), {"_keras_mask": "mask"})()
    assert internals._attribute(x) == "mask"
    assert internals._attribute(3.0) is None
    assert internals._never() is False
