"""What a user of Keras can rely on: each capability tried on l2keras and on keras.losses.

On the backend that KERAS_BACKEND names. Where Keras has no such loss or argument, its side is what
people write instead.
"""

import contextlib
import copy
import pickle
import tempfile
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np

import l2keras
from capability import Capabilities, raises
from l2core import Criterion, Quantile


class _RootMean(keras.losses.Loss):
    """What people write where Keras has no RMSE."""

    def call(self, y_true, y_pred):
        return keras.ops.sqrt(keras.ops.mean(keras.ops.square(y_pred - y_true)))


def _pinball(y_true, y_pred):
    r = y_true - y_pred
    return keras.ops.mean(keras.ops.maximum(0.9 * r, -0.1 * r), axis=-1)


OURS = SimpleNamespace(
    mse=l2keras.MeanSquaredError,
    mae=l2keras.MeanAbsoluteError,
    huber=l2keras.Huber,
    log_cosh=l2keras.LogCosh,
    root=lambda: l2keras.Criterion(reduction="root_mean"),
    quantile=lambda: l2keras.Criterion(Quantile(0.9)),
    metric=lambda loss: l2keras.CriterionMetric(loss, "metric"),
    mse_metric=lambda: l2keras.CriterionMetric(Criterion(), "metric"),
    missing=lambda: l2keras.Criterion(nan_targets="ignore"),
)
BUILT_IN = SimpleNamespace(
    mse=keras.losses.MeanSquaredError,
    mae=keras.losses.MeanAbsoluteError,
    huber=keras.losses.Huber,
    log_cosh=keras.losses.LogCosh,
    root=_RootMean,
    quantile=lambda: _pinball,
    metric=lambda loss: loss,
    mse_metric=keras.metrics.MeanSquaredError,
    missing=keras.losses.MeanSquaredError,
)
capability = Capabilities()
X = np.linspace(-1, 1, 10, dtype="float32").reshape(10, 1)
Y = 3 * X + 1
W = np.arange(10, dtype="float32")


def _model(loss, **compile_) -> keras.Model:
    """y = x, to be trained at rate 0.1."""
    dense = keras.layers.Dense(1, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((1,)), dense])
    model.compile(keras.optimizers.SGD(0.1), loss=loss, **compile_)
    return model


def _after_a_step(loss, y, weight=None, x=X, **compile_) -> np.ndarray:
    model = _model(loss, **compile_)
    model.train_on_batch(x, y, sample_weight=weight)
    return np.concatenate([w.ravel() for w in model.get_weights()])


def _number(x) -> float:
    return float(keras.ops.convert_to_numpy(keras.ops.real(x)))


# --- training ---------------------------------------------------------------------------------


@capability("`fit` with `run_eagerly`, compiled, and with mixed precision")
def _(side):
    eager = _after_a_step(side.huber(0.5), Y, W, run_eagerly=True)
    compiled = _after_a_step(side.huber(0.5), Y, W)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = _after_a_step(side.huber(0.5), Y, W)
    finally:
        keras.config.set_dtype_policy("float32")
    return np.allclose(eager, compiled) and np.allclose(eager, mixed, atol=0.02)


@capability("losses by output in a dict, with `loss_weights` and weights by output")
def _(side):
    inputs = keras.Input((1,))
    heads = {
        name: keras.layers.Dense(1, kernel_initializer="ones", name=name)(inputs) for name in "ab"
    }
    model = keras.Model(inputs, heads)
    losses = {"a": side.mse(), "b": side.mae()}
    model.compile("sgd", loss=losses, loss_weights={"a": 2.0, "b": 0.5})
    y, weights = {"a": Y, "b": Y}, {"a": np.ones_like(W), "b": np.ones_like(W)}
    total = model.evaluate(X, y, sample_weight=weights, verbose=0)[0]
    return np.isclose(total, 2 * np.mean((X - Y) ** 2) + 0.5 * np.mean(np.abs(X - Y)))


@capability("NaN at weight 0 leaves the training finite")
def _(side):
    y, w = np.where(W[:, None] == 0, np.nan, Y), W
    return np.isfinite(_after_a_step(side.mse(), y, w)).all()


@capability("NaN in the padding under a `Masking` layer leaves the training finite")
def _(side):
    x = np.array([[[1.0], [2.0]], [[3.0], [0.0]]], "float32")
    y = np.array([[[1.0], [0.0]], [[0.0], [np.nan]]], "float32")
    model = keras.Sequential([keras.Input((2, 1)), keras.layers.Masking(), keras.layers.Dense(1)])
    model.compile("sgd", loss=side.mse())
    model.train_on_batch(x, y)
    return all(np.isfinite(w).all() for w in model.get_weights())


@capability("missing targets (NaN) can be left out")
def _(side):
    y = np.where(X > 0.5, np.nan, Y)
    return np.isfinite(_after_a_step(side.missing(), y)).all()


@capability("the mean absolute error has gradient 0 at a perfect fit")
def _(side):
    return np.array_equal(_after_a_step(side.mae(), X), [1, 0])


@capability("the quantile loss has gradient 0 at a perfect fit")
def _(side):
    return np.array_equal(_after_a_step(side.quantile(), X), [1, 0])


@capability("the RMSE has a finite gradient at a perfect fit")
def _(side):
    return np.array_equal(_after_a_step(side.root(), X), [1, 0])


@capability("Huber's gradient stays finite far out (1e30)")
def _(side):
    return np.isfinite(_after_a_step(side.huber(0.5), np.full_like(X, 1e30))).all()


# --- loss and metric --------------------------------------------------------------------------


def _evaluated(side, loss, batch):
    model = _model(loss, weighted_metrics=[side.metric(loss)])
    return model.evaluate(X, Y, sample_weight=W, batch_size=batch, verbose=0)


@capability("a weighted loss and the metric made of it are one number")
def _(side):
    loss, metric = _evaluated(side, side.huber(0.5, reduction="mean_with_sample_weight"), 10)
    return np.isclose(loss, metric)


@capability("any loss as a metric that is exact over partial batches")
def _(side):
    loss = side.huber(0.5, reduction="mean_with_sample_weight")
    return np.isclose(_evaluated(side, loss, 10)[0], _evaluated(side, loss, 4)[1])


@capability("metrics of uint8 pixels, 0 against 20, and of a float16 residual of 300")
def _(side):
    pixels, half = side.mse_metric(), side.mse_metric()
    pixels.update_state(np.zeros((1, 1), "uint8"), np.full((1, 1), 20, "uint8"))
    half.update_state(np.zeros((1, 1), "float16"), np.full((1, 1), 300, "float16"))
    return _number(pixels.result()) == 400 and _number(half.result()) == 90_000


# --- meaning ----------------------------------------------------------------------------------


@capability("unequal shapes, (3, 1) and (1, 3), raise")
def _(side):
    kinds = (side.mse, side.mae, side.huber, side.log_cosh)
    return all(raises(kind(), np.zeros((3, 1)), np.zeros((1, 3))) for kind in kinds)


@capability("weights of 1-D data select")
def _(side):
    y, p, w = np.zeros(3), np.array([1.0, 100.0, 1.0]), np.array([1.0, 0.0, 1.0])
    return np.isclose(_number(side.mse()(y, p, w)), 2 / 3)


@capability("weights per sample stay so where there are as many time steps as samples")
def _(side):
    y = np.array([[[1.0], [1.0]], [[2.0], [4.0]]])
    loss = side.mse(reduction="mean_with_sample_weight")
    return _number(loss(y, 0 * y, np.array([1.0, 0.0]))) == 1


@capability("Huber with delta <= 0 raises")
def _(side):
    return raises(lambda: side.huber(-1.0)(Y, X))


# --- numbers ----------------------------------------------------------------------------------


@capability("float64 stays float64: 1 + 1e-9 against 1")
def _(side):
    wide = contextlib.nullcontext()
    if keras.backend.backend() == "jax":
        import jax

        wide = jax.enable_x64(True)
    with wide:
        value = _number(side.mse()(np.ones((1, 1)), np.full((1, 1), 1 + 1e-9)))
    return abs(value / 1e-18 - 1) < 1e-6


@capability("log cosh of 1e-4 in float32")
def _(side):
    value = _number(side.log_cosh()(np.zeros((1, 1)), np.full((1, 1), 1e-4, "float32")))
    return abs(value / 5e-9 - 1) < 1e-5


@capability("complex numbers, 1+2j against 0")
def _(side):
    z = np.array([[1 + 2j]], "complex64")
    return _number(side.mse()(z, 0 * z)) == 5


# --- objects ----------------------------------------------------------------------------------


@capability("`pickle`, `deepcopy` and `keras.losses.get` of its config")
def _(side):
    loss = side.mse(name="own", reduction="sum")
    others = (
        pickle.loads(pickle.dumps(loss)),
        copy.deepcopy(loss),
        keras.losses.get(keras.losses.serialize(loss)),
    )
    return all(_number(other(Y, X)) == _number(loss(Y, X)) for other in others)


@capability("saved and loaded, Huber keeps its delta, every loss its dtype")
def _(side):
    values = []
    for loss in (side.huber(0.5), side.mse(dtype="float16")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            _model(loss).save(path)
            loaded = keras.models.load_model(path).loss
        pair = loss(Y, X), loaded(Y, X)
        values.append(_number(pair[0]) == _number(pair[1]) and pair[0].dtype == pair[1].dtype)
    return all(values)


@capability("a loss of symbolic tensors, with a free batch length, is a node of the model")
def _(side):
    x, y = keras.Input((1,)), keras.Input((1,))
    return keras.Model([x, y], side.mse()(y, x)).output_shape == ()


def rows() -> list[tuple[str, bool, bool]]:
    return capability.rows(OURS, BUILT_IN)


if __name__ == "__main__":
    for name, ours, theirs in rows():
        print(f"{'yes' if ours else 'NO':5}{'yes' if theirs else 'no':5}{name}")
