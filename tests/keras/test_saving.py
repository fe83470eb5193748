"""Saved and loaded, in whichever way Keras has, a loss is the same to the last parameter."""

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import l2core
import l2keras


def _criteria(losses):
    """Every loss without a default parameter, and every other field and argument away from its own."""
    yield from (l2keras.Criterion(loss) for loss in losses)
    yield l2keras.Criterion(l2core.Huber(0.5), "root_mean", "count", (0, -1), "zero", name="own")
    yield l2keras.Criterion(denominator=3.5, nan_targets="ignore", dtype="float64")
    yield l2keras.Criterion(axis=-1, dtype=keras.DTypePolicy("mixed_bfloat16"))
    yield l2keras.Criterion(reduction="none")
    for kind in (l2keras.MeanSquaredError, l2keras.MeanAbsoluteError, l2keras.LogCosh):
        yield kind(reduction="mean_with_sample_weight", name="own", dtype="bfloat16")
        yield kind(reduction=None)
    yield l2keras.Huber(0.5, "sum", dtype="float16")
    yield l2keras.Huber()


@pytest.fixture
def criteria(all_losses):
    return list(_criteria(all_losses))


def _value(loss):
    y = np.linspace(-2, 2, 6, dtype="float32").reshape(3, 2)
    arguments = {"variance": 2.0} if loss.criterion.loss.needs else {}
    return keras.ops.convert_to_numpy(keras.ops.cast(loss(y, 2 * y, **arguments), "float32"))


# On JAX without 64-bit types a loss of dtype float64 computes in float32, and JAX says so.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64:UserWarning")
def test_saved_models_load_in_a_new_process(criteria, tmp_path):
    paths = []
    for i, loss in enumerate(criteria):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        metrics = (
            []
            if loss.reduction in (None, "none", "sum")
            else [l2keras.CriterionMetric(loss, "twin")]
        )
        model.compile("sgd", loss=loss, weighted_metrics=metrics)
        paths.append(tmp_path / f"{i}.keras")
        model.save(paths[-1])
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("load.py"), *paths],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.partition("RESULT")[2])
    for loss, loaded in zip(criteria, found, strict=True):
        assert loaded["class"] == type(loss).__name__
        assert loaded["config"] == json.loads(json.dumps(loss.get_config()))
        np.testing.assert_array_equal(np.float32(loaded["value"]), _value(loss))
        for metric in loaded["metrics"]:
            assert metric["config"]["criterion"]["config"] == loaded["config"]


def test_every_parameter_is_away_from_its_default(all_losses):
    for loss in all_losses:
        default = vars(type(loss)())
        assert all(x is None or x != default[name] for name, x in vars(loss).items())


def _deserialised(loss):
    return keras.losses.deserialize(keras.losses.serialize(loss))


def _got(loss):
    return keras.losses.get(keras.losses.serialize(loss))


def _object(loss):
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))


def _config(loss):
    return type(loss).from_config(json.loads(json.dumps(loss.get_config())))


def _pickled(loss):
    return pickle.loads(pickle.dumps(loss))


@pytest.mark.parametrize(
    "again", [_deserialised, _got, _object, _config, _pickled, copy.deepcopy, copy.copy]
)
def test_round_trips(criteria, again):
    for loss in criteria:
        other = again(loss)
        assert type(other) is type(loss)
        assert other.get_config() == loss.get_config()
        assert other.criterion == loss.criterion


def test_registered_names_work_in_a_config():
    loss = keras.losses.get({"class_name": "l2keras>Huber", "config": {"delta": 0.5}})
    assert isinstance(loss, l2keras.Huber)
    assert loss.delta == 0.5


def test_what_does_not_fit_fails_loudly():
    config = l2keras.Criterion(l2core.Huber(0.5)).get_config()
    for change, message in (
        ({"name": "Hubert", "delta": 0.5}, "loss: expected one of"),
        ({"name": "Huber", "beta": 1.0}, r"loss: expected keys among \['delta'\]"),
    ):
        broken = config | {"criterion": config["criterion"] | {"loss": change}}
        with pytest.raises(ValueError, match=message):
            l2keras.Criterion.from_config(broken)


def test_weighted_functional_model_that_computes_its_loss(tmp_path):
    """A loss of symbolic tensors is a node of the graph; it is saved with the model."""
    x, w = keras.Input((3,)), keras.Input((), name="w")
    y = keras.Input((3,))
    out = l2keras.Criterion(l2core.Huber(0.5), axis=-1, empty="zero")(y, x, w)
    assert out.shape == (None,)
    model = keras.Model([x, y, w], out)
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=s).astype("float32") for s in ((5, 3), (5, 3), (5,))]
    inputs[2] = np.abs(inputs[2])
    expected = l2core.Criterion(l2core.Huber(0.5), axis=-1)(inputs[0], inputs[1], weight=inputs[2])
    for _ in range(2):
        # Three terms of a few roundings.
        np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, rtol=16 * 2**-24)
        model.save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras")


def test_a_loss_in_the_graph_takes_what_it_takes_outside(tmp_path):
    """Mask and variance as tensors, the denominator as a number."""
    y, x, v = (keras.Input((3,)) for _ in range(3))
    m = keras.Input((3,), dtype="bool")
    loss = l2keras.Criterion(l2core.GaussianNLL())
    model = keras.Model([y, x, m, v], loss(y, x, mask=m, variance=v, denominator=7.0))
    model.save(tmp_path / "model.keras")
    rng = np.random.default_rng(0)
    y, x, v = rng.uniform(0.5, 2, (3, 5, 3)).astype("float32")
    expected = l2core.Criterion(l2core.GaussianNLL())(x, y, mask=y > 1, variance=v, denominator=7.0)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [op.name for op in loaded.operations] == [op.name for op in model.operations]
    for one in (model, loaded):
        # Fifteen terms of size 1 with a logarithm each, added up: 15 * 16 roundings over 7.
        np.testing.assert_allclose(one([y, x, y > 1, v]), expected, rtol=0, atol=35 * 2**-24)


@pytest.mark.parametrize("loss", ["huber", "Huber", {"name": "huber"}, l2core.Huber()], ids=repr)
def test_plain_data(loss):
    """A name, a mapping or the loss itself; to_config and from_config as on the other faces."""
    found = l2keras.Criterion(loss, axis=[0])
    assert found.criterion == l2keras.Criterion(l2core.Huber(), axis=(0,)).criterion
    config = json.loads(json.dumps(found.to_config()))
    assert config == l2core.Criterion("huber", axis=(0,)).to_config()
    for given in (config, {"loss": loss, "axis": [0]}):
        assert l2keras.Criterion.from_config(given).criterion == found.criterion
    assert l2keras.Criterion.from_config({}).criterion == l2keras.Criterion().criterion
    with pytest.raises(ValueError, match="config: expected keys among"):
        l2keras.Criterion.from_config({"los": "huber"})
