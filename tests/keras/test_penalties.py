"""The core's penalties are Keras's regularizers."""

import keras
import numpy as np
import pytest

import l2keras

KINDS = [
    (l2keras.Ridge(0.3), keras.regularizers.L2(0.3)),
    (l2keras.Lasso(0.2), keras.regularizers.L1(0.2)),
    (l2keras.ElasticNet(0.2, 0.3), keras.regularizers.L1L2(0.2, 0.3)),
]
by_kind = pytest.mark.parametrize(("ours", "theirs"), KINDS, ids=lambda x: type(x).__name__)


@by_kind
def test_keras_has_the_same(ours, theirs):
    w = keras.ops.convert_to_tensor([[1.0, -2.0], [0.0, 3.5]])
    np.testing.assert_allclose(*(keras.ops.convert_to_numpy(f(w)) for f in (ours, theirs)), 1e-6)
    assert ours.penalty.to("keras") == {k: pytest.approx(x) for k, x in ours.get_config().items()}


@by_kind
def test_a_model_trains_and_is_saved_with_it(ours, theirs, tmp_path):
    x, y = np.random.default_rng(0).normal(size=(2, 32, 3)).astype("f4")
    found = []
    for penalty in (ours, theirs):
        keras.utils.set_random_seed(3)
        layer = keras.layers.Dense(3, kernel_regularizer=penalty)
        model = keras.Sequential([keras.Input((3,)), layer])
        model.compile("sgd", loss=l2keras.MeanSquaredError())
        model.fit(x, y, epochs=2, verbose=0)
        found.append(keras.ops.convert_to_numpy(layer.kernel))
        if penalty is ours:
            model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-7)
    kept = keras.models.load_model(tmp_path / "model.keras").layers[-1].kernel_regularizer
    assert type(kept) is type(ours)
    assert kept.get_config() == ours.get_config()
