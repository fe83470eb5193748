"""TensorFlow Lite: losses in graphs that convert to its built-in operations alone.

In float32, where a rounding is 6e-8 of a number. Two steps of a mean of 16 terms, some thirty
roundings and functions good to 8 more a term, on numbers near 1, the second of what the first gave:
within 2 * (16 + 30 + 8) * 6e-8.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

import l2core
import l2keras

tflite = pytest.mark.client("TensorFlow Lite", "tensorflow")

RNG = np.random.default_rng(11)
X, Y, WEIGHT = (RNG.normal(size=n).astype("f") for n in ((8, 3), (8, 2), 8))
WEIGHT = np.where(np.arange(8) == 2, 0, abs(WEIGHT))
START = RNG.normal(size=(3, 2)).astype("f")
RATE = 0.25
SIGNATURE = [
    tf.TensorSpec((8, 3), name="x"),
    tf.TensorSpec((8, 2), name="y"),
    tf.TensorSpec((8,), name="w"),
]
TOLERANCE = 2 * (16 + 30 + 8) * 2**-24


def huber(r, delta=1.0):
    return np.where(abs(r) <= delta, r * r / 2, delta * (abs(r) - delta / 2))


# rho and psi by name of the loss; those of Huber(1) and SmoothL1(1) are one.
LOSSES = {
    "SquaredError": (lambda r: r * r, lambda r: 2 * r),
    "HalfSquaredError": (lambda r: r * r / 2, lambda r: r),
    "AbsoluteError": (abs, np.sign),
    "Huber": (huber, lambda r: np.clip(r, -1, 1)),
    "SmoothL1": (huber, lambda r: np.clip(r, -1, 1)),
    "LogCosh": (lambda r: np.log(np.cosh(r)), np.tanh),
    "Quantile": (lambda r: abs(r) / 2, lambda r: np.sign(r) / 2),
    "Expectile": (lambda r: r * r / 2, lambda r: r),
    "LaplaceNLL": (lambda r: abs(r) + np.log(2), np.sign),
    "StudentTNLL": (
        lambda r: 2.5 * np.log1p(r * r / 4) - np.log(0.375),
        lambda r: 5 * r / (4 + r * r),
    ),
    "Cauchy": (lambda r: np.log1p(r * r) / 2, lambda r: r / (1 + r * r)),
    "Tukey": (
        lambda r: 4.685**2 / 6 * (1 - (1 - np.minimum(abs(r) / 4.685, 1) ** 2) ** 3),
        lambda r: r * (1 - np.minimum(abs(r) / 4.685, 1) ** 2) ** 2,
    ),
    "Barron": (lambda r: np.sqrt(r * r + 1) - 1, lambda r: r / np.sqrt(r * r + 1)),
    "BarronNLL": (
        lambda r: np.sqrt(r * r + 1) - 1 + 1.18549523234919,
        lambda r: r / np.sqrt(r * r + 1),
    ),
}
OTHERS = [
    ({"name": "Huber", "delta": 0.5}, lambda r: huber(r, 0.5), lambda r: np.clip(r, -0.5, 0.5)),
    (
        {"name": "Quantile", "q": 0.9},
        lambda r: np.where(r > 0, 0.1 * r, -0.9 * r),
        lambda r: np.where(r > 0, 0.1, -0.9),
    ),
]


def converted(converter):
    """An interpreter of the model, which has TFLite's own operations alone."""
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.experimental_enable_resource_variables = True
    return tf.lite.Interpreter(model_content=converter.convert())


class Trainer(tf.Module):
    def __init__(self, loss):
        super().__init__()
        self.kernel, self.loss = tf.Variable(START), loss

    @tf.function(input_signature=SIGNATURE)
    def step(self, x, y, w):
        with tf.GradientTape() as tape:
            value = self.loss(y, x @ self.kernel, w)
        self.kernel.assign_sub(RATE * tape.gradient(value, self.kernel))
        return {"loss": value}


@tflite
@pytest.mark.parametrize(
    ("loss", "rho", "psi"), [*((name, *both) for name, both in LOSSES.items()), *OTHERS]
)
def test_train_step(loss, rho, psi):
    """A train step of every loss, weighted, NaN at weight 0: the loss before and after it by hand"""
    assert LOSSES.keys() == {name for name, kind in l2core.LOSSES.items() if not kind.needs}
    trainer = Trainer(l2keras.Criterion(loss))
    function = trainer.step.get_concrete_function()
    step = converted(
        tf.lite.TFLiteConverter.from_concrete_functions([function], trainer)
    ).get_signature_runner()
    y = np.where(WEIGHT[:, None] == 0, np.float32("nan"), Y)
    found = [step(x=X, y=y, w=WEIGHT)["loss"] for _ in range(2)]

    k, w, expected = START.astype("d"), WEIGHT[:, None].astype("d"), []
    for _ in range(2):
        r = X @ k - Y
        expected.append((w * rho(r)).sum() / (2 * w.sum()))
        k = k - RATE * X.T @ (w * psi(r)) / (2 * w.sum())
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def node(loss, weighted=True):
    """A Keras model whose second output is the loss of its first, as TFLite runs it."""
    x, y, w = keras.Input((3,), name="x"), keras.Input((2,), name="y"), keras.Input((), name="w")
    dense = keras.layers.Dense(2, use_bias=False)
    pred = dense(x)
    value = loss(y, pred, w) if weighted else loss(y, pred)
    model = keras.Model([x, y, w] if weighted else [x, y], {"pred": pred, "loss": value})
    dense.set_weights([START])
    return converted(tf.lite.TFLiteConverter.from_keras_model(model)).get_signature_runner()


@tflite
@pytest.mark.parametrize(
    ("told", "delta"), [("huber", 1.0), ({"name": "Huber", "delta": 0.5}, 0.5)]
)
def test_node(told, delta):
    """A Keras model with a loss as a node, for any number of rows: the weighted mean by hand"""
    model = node(l2keras.Criterion(told))
    for n in (8, 5, 40, 8):  # 32 elements and fewer are added up at once
        x, y, weight = (np.resize(a, (n, *a.shape[1:])) for a in (X, Y, WEIGHT))
        found = model(x=x, y=y, w=weight)["loss"]
        r, w = x.astype("d") @ START - y, weight.astype("d")
        expected = (w @ huber(r, delta)).sum() / (2 * w.sum())
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


@tflite
@pytest.mark.parametrize("weighted", [True, False])
def test_log_cosh(weighted):
    """Log cosh of 1e-4 in a model is 5e-9, and of 100 is finite"""
    model = node(l2keras.Criterion("log_cosh"), weighted)
    for r in np.array([1e-4, 1e-2, 0.9, 1.1, 30.0, 100.0], "f"):
        given = {"x": np.zeros_like(X), "y": np.full((8, 2), r)}
        found = model(**given, **({"w": WEIGHT} if weighted else {}))["loss"]
        size = float(r)
        # The series where log(cosh r) has few digits; its next term is r^6 / 45.
        series = size**2 / 2 - size**4 / 12
        whole = size - np.log(2) + np.log1p(np.exp(-2 * size))
        np.testing.assert_allclose(found, series if r < 0.1 else whole, rtol=TOLERANCE)


@tflite
def test_gaussian_nll():
    """The Gaussian likelihood as a node, prediction and variance in one output: the mean by hand"""
    pred, y = keras.Input((4,), name="pred"), keras.Input((2,), name="y")
    value = l2keras.Criterion("gaussian_nll", packed=["variance"])(y, pred)
    model = converted(tf.lite.TFLiteConverter.from_keras_model(keras.Model([pred, y], value)))
    means, v = X[:, :2], np.exp(X[:, 1:])
    given = {"pred": np.hstack([means, v]), "y": Y}
    (found,) = model.get_signature_runner()(**given).values()
    r, v = means.astype("d") - Y, v.astype("d")
    terms = np.log(v) / 2 + r * r / v / 2
    size = (abs(np.log(v)) / 2 + r * r / v / 2).mean()
    np.testing.assert_allclose(found, terms.mean(), rtol=0, atol=TOLERANCE * size)
