"""Parameters of a loss that come with a call: gradients, derivatives of any order, errors."""

import math
from dataclasses import asdict, dataclass

import numpy as np
import pytest

from agreement import differences
from l2core import (
    LOSSES,
    Criterion,
    GaussianNLL,
    Huber,
    Loss,
    Quantile,
    SmoothL1,
    reference_arrays,
)
from semantics import GIVEN, KEPT, PRED, SHAPE, TARGET
from subjects import DEFAULT_LOSSES, float_dtypes

LOSSES_WITH = [(loss, name) for loss in DEFAULT_LOSSES for name in loss.parameters]
by_parameter = pytest.mark.parametrize(
    ("loss", "name"), LOSSES_WITH, ids=[f"{type(x).__name__}-{name}" for x, name in LOSSES_WITH]
)
WEIGHT = np.round(np.random.default_rng(3).random(SHAPE), 2) * KEPT
OPTIONS = [
    ({"reduction": "none"}, {}),
    ({"reduction": "sum", "axis": 0}, {"weight": WEIGHT}),
    ({"denominator": "count"}, {"weight": WEIGHT, "mask": np.array([True, True, False, True])}),
]


def given(name, shape):
    """Parameters of this shape, none at a kink of the data."""
    x = GIVEN[name] * (1 + np.arange(np.prod(shape, dtype=int)).reshape(shape) / 32)
    return np.where(x < 1, x, 0.9) if name in ("q", "tau") else x


def hidden(x, arguments):
    """x with NaN where a weight or mask of the same rank hides the element."""
    weight = arguments.get("weight")
    return x if weight is None or x.shape != SHAPE else np.where(weight == 0, np.nan, x)


@by_parameter
def test_gradients(harness, mode, loss, name):
    """To pred and to the parameter, whatever its shape; NaN in absent ones has no part in it."""
    if not harness.autograd:
        return
    slow = mode != "eager" or "jax" in harness.name
    for number, shape in enumerate([(), (4,), (1, 3), SHAPE]):
        dtype = float_dtypes(harness)[-1]
        options, arguments = OPTIONS[number % 3]
        if slow and number != (LOSSES_WITH.index((loss, name)) % 2) * 3:
            continue  # one number for all, or one for each element, in turn
        x = hidden(given(name, shape), arguments)
        numbers = {"pred": PRED, "target": TARGET, name: x, **arguments}
        arrays = {
            key: harness.array(value, None if value.dtype == bool else dtype)
            for key, value in numbers.items()
        }
        face = harness.face(Criterion(loss, **options))

        def f(*values, names=tuple(arrays), face=face):
            return face(*values[:2], **dict(zip(names[2:], values[2:], strict=True)))

        _, grads = harness.vjp(f, *arrays.values(), mode=mode)
        seen = {key: harness.numpy(value) for key, value in arrays.items()}
        case = type(loss).__name__, asdict(loss), seen.pop("pred"), seen.pop("target")
        exact = reference_arrays.gradient(*case, **seen, **options)
        assert differences("gradient", harness.numpy(grads[0]), exact, dtype, PRED.size) == []
        exact = reference_arrays.gradient_to_parameter(name, *case, **seen, **options)
        found = harness.numpy(grads[2])
        # Of one sign but for the likelihood's two terms; from 1 on these are of one size.
        size = np.array(np.abs(exact), float).sum() + PRED.size
        ulp = np.finfo(dtype).eps
        np.testing.assert_allclose(
            found, exact.astype(float), rtol=0, atol=(2 * PRED.size + 16) * ulp * size
        )


@pytest.mark.parametrize(
    ("loss", "name"), [(x, y) for x, y in LOSSES_WITH if y not in (*x.needs, *x.instead)]
)
def test_given_is_what_is_fixed(harness, loss, name):
    """A number given and the same number fixed: the same loss, within the last places."""
    for dtype in float_dtypes(harness):
        pred, target = harness.array(PRED, dtype), harness.array(TARGET, dtype)
        open_, fixed = (harness.face(Criterion(x)) for x in (loss, type(loss)(GIVEN[name])))
        found = harness.numpy(open_(pred, target, **{name: GIVEN[name]}))
        rtol = 16 * np.finfo(dtype).eps
        np.testing.assert_allclose(found, harness.numpy(fixed(pred, target)), rtol=rtol)
        assert found.dtype == dtype


@pytest.mark.once
def test_several_quantiles_at_once(harness):
    """(N, Q) predictions of Q quantiles of one target each."""
    rng = np.random.default_rng(0)
    pred, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 1))
    q = np.array([[0.1, 0.5, 0.9]])
    face = harness.face(Criterion(Quantile(), axis=0))
    arrays = [harness.array(x, "float32") for x in (pred, np.broadcast_to(y, pred.shape), q)]
    found = harness.numpy(face(*arrays[:2], q=arrays[2]))
    r = pred - y
    expected = np.maximum((1 - q) * r, -q * r).mean(0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # of float32 inputs, 50 terms


SECOND = {  # rho by (r, parameter) and by the parameter twice, at one residual and parameter
    "delta": (2.0, 0.5, 1.0, -1.0),  # rho = delta|r| - delta²/2
    "beta": (0.25, 0.5, -1.0, 0.5),  # rho = r²/(2 beta): -r/beta², r²/beta³
    "q": (2.0, 0.3, -1.0, 0.0),  # rho = (1 - q) r
    "tau": (2.0, 0.3, -4.0, 0.0),  # rho = (1 - tau) r²
    "variance": (2.0, 4.0, -0.125, 0.03125),  # rho = ½(log v + r²/v): -r/v², r²/v³ - ½/v²
    "log_variance": (2.0, 1.0, -2 / math.e, 2 / math.e),  # ½(l + r²/exp l): -r/exp l, ½r²/exp l
}


@by_parameter
def test_second_derivatives(harness, loss, name):
    """The mixed one, of psi, and that of the parameter alone."""
    if "second" not in harness.features:
        return
    r, x, mixed, twice = SECOND[name]
    dtype = float_dtypes(harness)[-1]
    face = harness.face(Criterion(loss, "sum"))
    pred, target = harness.array(np.array([r]), dtype), harness.array(np.zeros(1), dtype)
    second = harness.features["second"]
    start = harness.array(np.array([x]), dtype)
    found = harness.numpy(second(lambda x: face(pred, target, **{name: x}), start))
    np.testing.assert_allclose(found, [twice], rtol=1e-5)

    # Of f(z) = rho(z, z - r + x), f'' = rho_rr + 2 rho_rx + rho_xx.
    shift = harness.array(np.array([x - r]), dtype)
    bend = harness.numpy(second(lambda p: face(p, target, **{name: start}), pred))
    both = harness.numpy(second(lambda z: face(z, target, **{name: z + shift}), pred))
    np.testing.assert_allclose(both - bend, [2 * mixed + twice], rtol=1e-5)


@pytest.mark.once
def test_errors(harness):
    """Given both ways, unknown, of another loss, of no fitting shape, no number that is one."""
    pred, target = harness.array(PRED, "float32"), harness.array(TARGET, "float32")

    def raises(kind, message, loss, **parameters):
        face = harness.face(Criterion(loss))
        with pytest.raises(kind, match=message):
            face(pred, target, **parameters)

    raises(
        ValueError, r"delta: expected None with Huber\(delta=0.5\), in which", Huber(0.5), delta=1.0
    )
    raises(TypeError, "q: expected None for Huber", Huber(), q=0.5)
    raises(TypeError, "dleta: expected one of the arguments .*delta", Huber(), dleta=0.5)
    raises(ValueError, "delta: expected a number > 0", Huber(), delta=-1.0)
    raises(ValueError, "delta: expected a number > 0", Huber(), delta=float("nan"))
    raises(ValueError, "q: expected a number between 0 and 1", Quantile(), q=1.0)
    raises(ValueError, "beta: expected 0 or a finite number", SmoothL1(), beta=float("inf"))
    raises(ValueError, "variance: expected an array or a number >= 0", GaussianNLL(), variance=-1.0)
    wrong = harness.array(np.ones(3), "float32")
    raises(ValueError, "delta: expected a scalar, the leading axes", Huber(), delta=wrong)
    raises(TypeError, "delta: expected .*got str", Huber(), delta="1")


@by_parameter
def test_mapped(harness, loss, name):
    """Under vmap each row has its own parameter, value and gradient."""
    if "vmap" not in harness.features:
        return
    dtype = float_dtypes(harness)[-1]
    x = given(name, (4,))
    face = harness.face(Criterion(loss, "sum"))
    arrays = [harness.array(value, dtype) for value in (PRED, TARGET, x)]

    def f(pred, target, x):
        return face(pred, target, **{name: x})

    found = harness.numpy(harness.features["vmap"](f, *arrays))
    grads = harness.numpy(
        harness.features["vmap_grad"](lambda x, p, t: f(p, t, x), *arrays[::-1][:1], *arrays[:2])
    )
    for i in range(4):
        case = type(loss).__name__, asdict(loss), PRED[i], TARGET[i]
        kept = {"reduction": "sum", name: harness.numpy(arrays[2])[i]}
        pair = harness.numpy(arrays[0])[i], harness.numpy(arrays[1])[i]
        case = *case[:2], *pair
        rtol = 64 * np.finfo(dtype).eps  # three terms of one sign, and the likelihood's of one size
        exact = reference_arrays.value(*case, **kept)
        np.testing.assert_allclose(found[i], float(exact.item()), rtol=rtol)
        exact = reference_arrays.gradient_to_parameter(name, *case, **kept)
        np.testing.assert_allclose(grads[i], float(exact.item()), rtol=rtol, atol=rtol)


def test_an_infinite_parameter_hides_no_derivative_to_a_weight_of_0(harness):
    """rho of an infinite delta is finite, 0 weight or not."""
    if not harness.autograd:
        return
    dtype = float_dtypes(harness)[-1]
    face = harness.face(Criterion(Huber(), "sum"))
    r = [harness.array(np.array(x), dtype) for x in ([0.5, 2.0, -3.0], [0.0] * 3, [1.0, 0.0, 1.0])]
    for delta in (np.inf, harness.array(np.full(3, np.inf), dtype)):
        _, grads = harness.vjp(lambda p, t, w, d=delta: face(p, t, weight=w, delta=d), *r)
        assert harness.numpy(grads[2]).tolist() == [0.125, 2.0, 4.5]


@pytest.mark.once
def test_the_smallest_betas_have_slopes_outside(harness):
    if not harness.autograd:
        return
    face = harness.face(Criterion(SmoothL1(), "none"))
    pred, zero = (harness.array(np.array(x), "float32") for x in ([2.0, -1e-3], [0.0, 0.0]))
    beta = harness.array(np.full(2, 1e-30), "float32")
    _, grads = harness.vjp(lambda p, t, b: face(p, t, beta=b), pred, zero, beta)
    assert harness.numpy(grads[2]).tolist() == [-0.5, -0.5]


def test_a_parameter_without_a_default_is_fixed():
    @dataclass(frozen=True)
    class Scaled(Loss):
        scale: float
        parameters = ("scale", "shift")

        def rho(self, r, xp, scale=None, shift=0.0):
            return (self.scale if scale is None else scale) * r * r + shift

        def psi(self, r, xp, scale=None, shift=0.0):
            return 2 * (self.scale if scale is None else scale) * r

        def curvature(self, r, xp, scale=None, shift=0.0):
            return xp.full_like(r, 2 * self.scale)

    try:
        x = np.array([1.0, 2.0])
        criterion = Criterion(Scaled(2.0), "sum")
        with pytest.raises(ValueError, match=r"scale: expected None with .*Scaled"):
            criterion(x, 0 * x, scale=x)
        for told in ("scaled", {"name": "Scaled"}):
            with pytest.raises(TypeError, match="loss: expected a mapping with scale too, got"):
                Criterion(told)
        assert Criterion({"name": "Scaled", "scale": 2.0}).loss == Scaled(2.0)
    finally:
        del LOSSES["Scaled"]
