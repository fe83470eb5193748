"""compile and fit, in the ways that people use them, against gradient descent by hand in NumPy."""

import contextlib
from functools import partial

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

import l2core
import l2keras

# Eight steps at rate 0.1, each with a gradient that sums 16 float32 products of size 10 or less:
# 8 * 0.1 * 16 * 10 * 2^-24 = 8e-6 in absolute terms. A wrong denominator shows in the first digits.
close = partial(assert_allclose, rtol=0, atol=1e-5)
HUBER = l2core.Criterion(l2core.Huber(0.5))


def _fit(model, loss, data, *, mode=None, weight=None, **fit):
    model.compile(keras.optimizers.SGD(0.1), loss=loss, **(mode or {"jit_compile": False}))
    options = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    history = model.fit(data.x, data.y, sample_weight=weight, **options, **fit)
    return model.get_weights(), history.history


@pytest.fixture
def traced_only(monkeypatch, keras_backend):
    """Keras's torch.compile without code generation, which takes a minute for a train step."""
    if keras_backend == "torch":
        import torch

        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))


@pytest.mark.usefixtures("traced_only")
@pytest.mark.parametrize("mode", [{"run_eagerly": True}, {"jit_compile": True}, None])
def test_weighted_fit(linear, data, trained_by_hand, keras_backend, mode):
    if keras_backend == "torch" and mode == {"jit_compile": True}:
        # A last batch of another length would trace Keras's train step a second time.
        data.x, data.y, data.weight = data.x[:24], data.y[:24], data.weight[:24]
    weights, _ = _fit(linear(), l2keras.Criterion.of(HUBER), data, mode=mode, weight=data.weight)
    for ours, expected in zip(
        weights, trained_by_hand(HUBER, data.x, data.y, data.weight), strict=True
    ):
        close(ours, expected)


@pytest.mark.parametrize(
    "criterion",
    [
        l2core.Criterion(reduction="root_mean"),
        l2core.Criterion(l2core.LogCosh(), "sum"),
        l2core.Criterion(l2core.AbsoluteError(), denominator="count"),
        l2core.Criterion(l2core.Quantile(0.9), denominator="batch"),
        l2core.Criterion(l2core.Expectile(0.1), denominator=10.0),
    ],
)
def test_reductions(linear, data, trained_by_hand, criterion):
    weights, _ = _fit(linear(), l2keras.Criterion.of(criterion), data, weight=data.weight)
    for ours, expected in zip(
        weights, trained_by_hand(criterion, data.x, data.y, data.weight), strict=True
    ):
        close(ours, expected, atol=3e-5)  # a sum of 16 losses has 16 times the steps of their mean


def test_class_weight(linear, data, trained_by_hand):
    data.y = (data.y > 0).astype("int32")[:, :1]
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    class_weight = {0: 0.5, 1: 2.0}
    weights, _ = _fit(model, l2keras.Criterion(), data, class_weight=class_weight)
    # Both outputs of the model by hand are the same one: half of each gradient is its.
    by_hand = trained_by_hand(
        l2core.Criterion(denominator="weight"),
        data.x,
        np.repeat(data.y, 2, axis=1),
        np.where(data.y[:, 0], 2.0, 0.5),
        rate=0.2,
    )
    close(weights[0], by_hand[0][:, :1])
    close(weights[1], by_hand[1][:1])


def test_validation(linear, data):
    model = linear()
    loss = l2keras.Criterion.of(HUBER)
    validation = (data.x, data.y, data.weight)
    _, history = _fit(model, loss, data, validation_data=validation, validation_batch_size=26)
    pred = model.predict(data.x, verbose=0)
    expected = HUBER(pred, data.y, weight=data.weight)
    assert_allclose(history["val_loss"][-1], expected, rtol=26 * 2**-23)  # two sums of 52 terms


def test_outputs_with_their_own_losses_and_weights(data):
    inputs = keras.Input((3,))
    heads = {
        name: keras.layers.Dense(2, kernel_initializer="ones", name=name)(inputs)
        for name in ("near", "far")
    }
    model = keras.Model(inputs, heads)
    losses = {"near": l2keras.Criterion.of(HUBER), "far": l2keras.MeanAbsoluteError()}
    model.compile("sgd", loss=losses, loss_weights={"near": 2.0, "far": 0.5})
    y = {"near": data.y, "far": data.y + 1}
    weights = {"near": data.weight, "far": np.ones_like(data.weight)}
    result = model.evaluate(
        data.x, y, sample_weight=weights, batch_size=26, verbose=0, return_dict=True
    )
    pred = model.predict(data.x, verbose=0)
    near = HUBER(pred["near"], y["near"], weight=data.weight)
    far = np.abs(pred["far"] - y["far"]).mean()
    rtol = 32 * 2**-23  # sums of 52 terms
    assert_allclose(result["near_loss"], near, rtol=rtol)
    assert_allclose(result["far_loss"], far, rtol=rtol)
    assert_allclose(result["loss"], 2 * near + 0.5 * far, rtol=rtol)


def test_one_loss_for_several_outputs(data):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, [keras.layers.Dense(2, kernel_initializer="ones")(inputs)] * 2)
    model.compile("sgd", loss=[l2keras.MeanSquaredError(), l2keras.Huber()])
    result = model.train_on_batch(data.x, [data.y, data.y], return_dict=True)
    assert_allclose(
        result["loss"],
        l2core.Criterion()(np.repeat(data.x.sum(1, keepdims=True), 2, 1), data.y)
        + l2core.Criterion(l2core.Huber())(np.repeat(data.x.sum(1, keepdims=True), 2, 1), data.y),
        rtol=32 * 2**-23,
    )


def _sequences():
    """Four sequences of up to four steps, padded with zeros in x and with NaN in y."""
    rng = np.random.default_rng(1)
    lengths = np.array([4, 1, 3, 2])
    present = np.arange(4) < lengths[:, None]
    x = np.where(present[..., None], rng.normal(size=(4, 4, 3)) + 5, 0).astype("float32")
    y = np.where(present[..., None], rng.normal(size=(4, 4, 2)), np.nan).astype("float32")
    return x, y, present


@pytest.mark.parametrize("weight", [None, np.array([1.0, 0.0, 2.0, 5.0], "float32")])
@pytest.mark.parametrize("kind", [l2keras.Criterion, l2keras.MeanSquaredError])
def test_masking_layer(kind, weight):
    x, y, present = _sequences()
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            keras.layers.Masking(),
            keras.layers.Dense(2, kernel_initializer="ones"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), loss=kind())
    pred = x.sum(axis=-1, keepdims=True)
    omega = present * (1 if weight is None else weight[:, None])  # trap: 4 samples, 4 steps
    total = (omega[..., None] * np.where(present[..., None], (pred - y) ** 2, 0)).sum()
    n = omega.sum() if kind is l2keras.Criterion else present.sum()
    result = model.evaluate(x, y, sample_weight=weight, verbose=0)
    assert_allclose(result, total / (2 * n), rtol=48 * 2**-23)  # 20 terms of 5 roundings
    model.fit(x, y, sample_weight=weight, verbose=0)
    assert all(np.isfinite(w).all() and w.any() for w in model.get_weights())


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(linear, data, policy):
    model = linear(dtype=policy)
    assert model.layers[0].compute_dtype == policy.removeprefix("mixed_")
    data.y = data.y + 1000  # residuals whose squares float16 does not hold
    model.compile(keras.optimizers.SGD(1e-4), loss=l2keras.Criterion())
    before = model.get_weights()
    pred = model.predict(data.x, verbose=0)
    loss = model.train_on_batch(data.x, data.y, sample_weight=data.weight)
    expected = l2core.Criterion()(np.asarray(pred, "float32"), data.y, weight=data.weight)
    assert_allclose(float(loss), expected, rtol=32 * 2**-23)
    if policy == "mixed_bfloat16":  # float16's loss scale starts where it overflows, and adapts
        after = model.get_weights()
        assert all(
            np.isfinite(b).all() and (a != b).all() for a, b in zip(before, after, strict=True)
        )


class _Linear(keras.layers.Layer):
    """Without keras.ops, whose matmul multiplies float64 in float32 on torch."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 2), initializer="ones")
        self.bias = self.add_weight(shape=(2,), initializer="zeros")

    def call(self, inputs):
        return inputs @ self.kernel.value + self.bias.value


def test_float64(data, trained_by_hand, keras_backend):
    wide = contextlib.nullcontext()
    if keras_backend == "jax":
        import jax

        wide = jax.enable_x64(True)
    floatx = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        with wide:
            data.x, data.y = data.x.astype("float64"), data.y.astype("float64")
            model = keras.Sequential([keras.Input((3,)), _Linear(dtype="float64")])
            weights, _ = _fit(model, l2keras.Criterion.of(HUBER), data, weight=data.weight)
    finally:
        keras.config.set_floatx(floatx)
    for ours, expected in zip(
        weights, trained_by_hand(HUBER, data.x, data.y, data.weight), strict=True
    ):
        assert ours.dtype == "float64"
        close(ours, expected, atol=1e-13)  # as above, with 2^-53


def test_clone_and_compile_again(linear, data):
    model = linear()
    model.compile("sgd", loss=l2keras.Huber(0.5), weighted_metrics=[])
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    clone.compile_from_config(model.get_compile_config())
    assert clone.loss.delta == 0.5
    assert clone.loss is not model.loss
    results = [m.evaluate(data.x, data.y, verbose=0) for m in (model, clone)]
    assert results[0] == results[1]


def _train_step(backend):
    """A model whose train_step is written by hand in the framework that Keras runs on."""

    class Tensorflow(keras.Model):
        def train_step(self, batch):
            import tensorflow as tf

            x, y, w = batch
            with tf.GradientTape() as tape:
                loss = self.own_loss(y, self(x), w)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"loss": loss}

    class Jax(keras.Model):
        def train_step(self, state, batch):
            import jax

            x, y, w = batch
            trainable, fixed, optimizer, metrics = state

            def loss_of(trainable):
                return self.own_loss(y, self.stateless_call(trainable, fixed, x)[0], w)

            loss, gradients = jax.value_and_grad(loss_of)(trainable)
            trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
            return {"loss": loss}, (trainable, fixed, optimizer, metrics)

    class Torch(keras.Model):
        def train_step(self, batch):
            import torch

            x, y, w = batch
            self.zero_grad()
            loss = self.own_loss(y, self(x), w)
            loss.backward()
            variables = list(self.trainable_variables)
            with torch.no_grad():
                self.optimizer.apply([v.value.grad for v in variables], variables)
            return {"loss": loss}

    return {"tensorflow": Tensorflow, "jax": Jax, "torch": Torch}[backend]


def test_custom_train_step(linear, data, trained_by_hand, keras_backend):
    inner = linear()
    model = _train_step(keras_backend)(inner.inputs, inner.outputs)
    model.own_loss = l2keras.Criterion.of(HUBER)
    model.compile(keras.optimizers.SGD(0.1))
    options = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(data.x, data.y, sample_weight=data.weight, **options)
    for ours, expected in zip(
        model.get_weights(), trained_by_hand(HUBER, data.x, data.y, data.weight), strict=True
    ):
        close(ours, expected)


def test_unequal_shapes_stop_the_fit(linear, data):
    model = linear()
    model.compile("sgd", loss=l2keras.Criterion())
    with pytest.raises(ValueError, match="y_pred and y_true: expected equal shapes"):
        model.fit(data.x, data.y[:, 0], verbose=0)
