"""Where the built-in losses went wrong, as measured: one test a trap, on every backend.

Each docstring says what was observed in which built-in.
"""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from agreement import bound
from l2core import (
    AbsoluteError,
    Criterion,
    GaussianNLL,
    HalfSquaredError,
    Huber,
    LogCosh,
    SquaredError,
    reference,
    reference_arrays,
)
from l2core.exact import ulps

pytestmark = pytest.mark.once


def arrays(harness, *xs, dtype="float32"):
    return [harness.array(np.asarray(x), dtype) for x in xs]


def value(harness, criterion, pred, target, dtype="float32", **more):
    """The face's value as a NumPy array; NumPy arguments go into the framework."""
    pred, target = arrays(harness, pred, target, dtype=dtype)
    for name, x in more.items():
        if isinstance(x, list | np.ndarray):
            x = np.asarray(x)
            more[name] = harness.array(x, "bool" if x.dtype == bool else "float32")
    with np.errstate(all="ignore"):
        return harness.numpy(harness.face(criterion)(pred, target, **more))


def gradient(harness, criterion, pred, target, dtype="float32", mode="eager", **more):
    pred, target = arrays(harness, pred, target, dtype=dtype)
    more = {k: harness.array(x, None if x.dtype == bool else "float32") for k, x in more.items()}
    with np.errstate(all="ignore"):
        found = harness.value_and_grad(criterion, pred, target, mode=mode, **more)
    return tuple(map(harness.numpy, found))


@pytest.mark.parametrize("shapes", [((8,), (8, 1)), ((3, 1), (1, 3)), ((4, 1), (4, 3))], ids=str)
def test_01_broadcasting_raises(harness, shapes):
    """PyTorch warns and fits w = 0 instead of 3; NumPy, JAX, optax and Keras do so in silence."""
    a, b = (np.ones(shape) for shape in shapes)
    for pred, target in ((a, b), (b, a)):
        with pytest.raises(ValueError, match="expected equal shapes"):
            value(harness, Criterion(), pred, target)


@pytest.mark.modes("eager", "jit", "function")
@pytest.mark.parametrize("rubbish", [math.nan, math.inf, -math.inf], ids=str)
def test_02_what_is_masked_is_not_there(harness, mode, rubbish):
    """NaN under a mask or a weight of 0 leaves value or gradient NaN in PyTorch, Keras and TF v1;
    a masked ``jnp.mean`` has the right value and a NaN gradient.
    """
    pred, target = np.array([1.0, rubbish, 3.0]), np.array([0.0, 0.0, rubbish])
    weight, mask = np.array([2.0, 0.0, 0.0]), np.array([True, False, False])
    for more in ({"weight": weight}, {"mask": mask}):
        found, slope = gradient(harness, Criterion(), pred, target, mode=mode, **more)
        assert (found, slope.tolist()) == (1.0, [2.0, 0.0, 0.0])


def test_03_the_denominator_is_said(harness):
    """Losses 1 and 4 with weights 1 and 3: 3.25 in torch mse, 6.5 in torch huber and in Keras."""
    pred, target, weight = [1.0, 2.0], [0.0, 0.0], [1.0, 3.0]
    for denominator, wanted in (("weight", 3.25), ("count", 6.5), ("batch", 6.5), (13.0, 1.0)):
        criterion = Criterion(denominator=denominator)
        assert value(harness, criterion, pred, target, weight=weight) == wanted


def test_04_all_weights_zero(harness):
    """torch mse gives NaN with NaN gradients, torch huber 0, Keras 0; scikit-learn raises."""
    ones, zeros = np.ones(2), np.zeros(2)
    assert np.isnan(value(harness, Criterion(), ones, zeros, weight=zeros))
    found, slope = gradient(harness, Criterion(empty="zero"), ones, zeros, weight=zeros)
    assert (found, slope.tolist()) == (0, [0, 0])
    _, slope = gradient(harness, Criterion(), ones, zeros, weight=zeros)
    assert slope.tolist() == [0, 0]


def test_05_weights_select_in_one_dimension(harness):
    """Keras gives 2222.67: it averages over the only axis before it weights."""
    pred, weight = [1.0, 100.0, 1.0], [1.0, 0.0, 1.0]
    by_count = Criterion(denominator=3)
    found = value(harness, by_count, pred, [0.0] * 3, weight=weight)
    assert found == pytest.approx(2 / 3, rel=2.0**-23)
    assert value(harness, Criterion(), pred, [0.0] * 3, weight=weight) == 1


def test_06_weights_belong_to_the_leading_axes(harness):
    """(B, T, D) with B == T: Keras's loss weights the time axis, 5.25; its metric says 3.5."""
    pred = np.array([[[1.0], [2.0]], [[1.0], [3.0]]])  # losses 1, 4 and 1, 9
    rows = (1 * (1 + 4) + 3 * (1 + 9)) / 8
    times = (1 * (1 + 1) + 3 * (4 + 9)) / 8
    assert value(harness, Criterion(), pred, 0 * pred, weight=[1.0, 3.0]) == rows
    assert value(harness, Criterion(), pred, 0 * pred, weight=[[[1.0], [3.0]]]) == times


def test_07_parts_add_up(harness):
    """Lengths 100, 3, 1, 40: the mean of the means is 19 % off, padded ``mse_loss`` 64 %."""
    rng = np.random.default_rng(7)
    data = [rng.normal(size=n) * scale for n, scale in ((100, 1), (3, 5), (1, 9), (40, 2))]
    flat = np.concatenate(data).astype(np.float32)
    exact = reference_arrays.value("SquaredError", {}, flat, 0 * flat).item()
    padded = np.zeros((4, 100))
    mask = np.arange(100) < np.array([[100], [3], [1], [40]])
    padded[mask] = flat
    whole = value(harness, Criterion(), padded, 0 * padded, mask=mask)
    terms = [Criterion().terms(*arrays(harness, x, 0 * x)) for x in data]
    for found in (whole, harness.numpy(sum(terms).value())):
        assert ulps(found.item(), exact, "float32") <= bound(400)


def test_08_pixels_do_not_wrap(harness):
    """uint8 0 against 20 is 144 in NumPy, JAX, torchmetrics; 0 against 255 is 1."""
    for high, wanted in ((20, 400), (255, 65025)):
        assert value(harness, Criterion(), [0, 0], [high, high], dtype="uint8") == wanted
        assert value(harness, Criterion(), [high, high], [0, 0], dtype="uint8") == wanted
    if "int32" in harness.dtypes:  # -1.8e9
        found = value(harness, Criterion(), [0], [50_000], dtype="int32")
        assert found == 2.5e9


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_09_halves_square_in_float32(harness, dtype):
    """Residual 300 in float16 is inf in PyTorch, JAX, NumPy, optax."""
    if dtype in harness.dtypes:
        found, slope = gradient(harness, Criterion(), [300.0], [0.0], dtype=dtype)
        assert (found.item(), slope.tolist()) == (90_000, [600])  # in float16 90,000 is inf


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_10_halves_sum_in_float32(harness, dtype):
    """70,000 ones: inf in torchmetrics, NaN in weighted torch, 0.0037 in NumPy's bfloat16."""
    if dtype in harness.dtypes:
        ones = np.ones(70_000)
        assert value(harness, Criterion(), ones, 0 * ones, dtype=dtype).item() == 1
        assert value(harness, Criterion(), ones, 0 * ones, dtype=dtype, weight=ones) == 1


@pytest.mark.modes("eager", "jit", "function")
def test_11_the_root_is_smooth_enough(harness, mode):
    """At a perfect fit the gradient of the RMSE is NaN in seven of seven peers; also at 1e-30."""
    criterion = Criterion(reduction="root_mean")
    target = np.array([1.0, 2.0, 3.0])
    found, slope = gradient(harness, criterion, target, target, mode=mode)
    assert (found, slope.tolist()) == (0, [0, 0, 0])
    _, slope = gradient(harness, criterion, np.full(3, 1e-30), np.zeros(3), mode=mode)
    assert np.isfinite(slope).all()
    _, slope = gradient(
        harness, Criterion(reduction="root_mean", axis=0), np.eye(2), np.diag([1, 0])
    )
    assert slope.tolist()[0] == [0, 0]


@pytest.mark.once(False)
def test_12_float64_stays_float64(harness):
    """A residual of 1e-9 beside 1 is 0.0 in Keras, whose classes cast to float32."""
    if "float64" in harness.dtypes:
        pred, target = [1 + 1e-9], [1.0]
        found = value(harness, Criterion(AbsoluteError()), pred, target, dtype="float64")
        assert found.dtype == np.float64
        assert found == (1 + 1e-9) - 1


def test_13_parameters_survive_saving(harness):
    """Keras's ``Huber(delta=.5)``, saved and loaded, is ``Huber(1.0)``: 0.575 becomes 0.9."""
    criterion = Criterion(Huber(0.5))
    again = Criterion.from_config(json.loads(json.dumps(criterion.to_config())))
    pred, target = [1.0, 2.8], [0.0, 1.0]
    assert value(harness, again, pred, target) == value(harness, criterion, pred, target)
    assert value(harness, again, pred, target) != value(harness, Criterion(Huber()), pred, target)


def test_14_log_cosh_near_zero_and_far_out(harness):
    """1e-4 gives 0.0 in Keras, optax and torchmetrics, 89 inf in torchmetrics; float16 0.01 < 0."""
    criterion = Criterion(LogCosh(), "none")
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        if dtype not in harness.dtypes:
            continue
        (pred,) = arrays(harness, [1e-4, 0.01, 89.0], dtype=dtype)
        held = harness.numpy(pred)
        found = value(harness, criterion, held, 0 * held, dtype=dtype)
        for r, seen in zip(held.tolist(), found.tolist(), strict=True):
            exact = reference.rho("LogCosh", {}, Fraction(r))
            assert ulps(seen, exact, found.dtype.name) <= 8


def test_15_huber_refuses_nonsense(harness):
    """delta < 0 gives negative losses and inf NaN in Keras, optax, TF; Keras's gradient is NaN at
    large residuals; PyTorch's second derivative raises in forward mode.
    """
    for delta in (0, -1.0, math.nan, -math.inf):
        with pytest.raises(ValueError, match=r"^delta: expected "):
            Huber(delta)
    infinite = Criterion(Huber(math.inf))
    assert value(harness, infinite, [30.0], [0.0]) == 450
    _, slope = gradient(harness, Criterion(Huber(0.5)), [1e30, -1e38], [0.0, 0.0])
    assert slope.tolist() == [0.25, -0.25]
    if "second" in harness.features:
        pred, target = arrays(harness, [0.25, 4.0], [0.0, 0.0])
        face = harness.face(Criterion(Huber(0.5), "sum"))
        found = harness.features["second"](lambda pred: face(pred, target), pred)
        assert harness.numpy(found).tolist() == [1, 0]


@pytest.mark.modes("eager", "jit", "function")
def test_16_the_absolute_error_is_flat_at_zero(harness, mode):
    """0 in PyTorch and TF, +1 in JAX, -1 in Keras on JAX."""
    _, slope = gradient(
        harness, Criterion(AbsoluteError(), "sum"), [0.0, 2.0], [0.0, 3.0], mode=mode
    )
    assert slope.tolist() == [0, -1]


def test_17_complex_squares_are_sizes(harness):
    """1+2j against 0 is -3+4j in NumPy and JAX, 1.0 in Keras's class and -3.0 in its metric."""
    if "complex64" in harness.dtypes:
        pred, zero = [1 + 2j], [0j]
        assert value(harness, Criterion(), pred, zero, dtype="complex64") == 5
        assert value(harness, Criterion(HalfSquaredError()), pred, zero, dtype="complex64") == 2.5
        size = value(harness, Criterion(AbsoluteError()), pred, zero, dtype="complex64")
        assert ulps(size.item(), Fraction(math.sqrt(5)), "float32") <= 2


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e5])
def test_18_r_squared_far_from_zero(harness, offset):
    """0.990375 is 0.99962 in torchmetrics and 1.00114 in Keras at offset 1e4, which expand squares.

    Two sums of squares of residuals give it, with the mean of the targets as a prediction.
    """
    rng = np.random.default_rng(18)
    target = np.float32(rng.normal(size=500) + offset)
    pred = np.float32(target + 0.1 * rng.normal(size=500))
    mean = np.full(500, np.float32(target.astype(float).mean()), np.float32)

    def sums(f):
        return 1 - f(pred) / f(mean)

    found = sums(lambda p: value(harness, Criterion(SquaredError(), "sum"), p, target).item())
    exact = sums(
        lambda p: reference_arrays.value("SquaredError", {}, p, target, reduction="sum").item()
    )
    # Each sum errs by bound(500) ULP of 2**-23 at most, and their quotient is about 0.01.
    assert abs(found - float(exact)) <= 2 * bound(500) * 2.0**-23 * 0.02
    # The mean's own rounding moves the sum around it by its square, n * ulp(offset)² / 4.
    assert 0.98 < found < 0.995


def test_19_the_rmse_of_several_outputs_is_said(harness):
    """Columns of RMSE 0.5 and 3: scikit-learn means 1.75 by it, Keras and torchmetrics 2.15."""
    pred = np.array([[0.5, 3.0], [-0.5, -3.0]])
    columns = value(harness, Criterion(reduction="root_mean", axis=0), pred, 0 * pred)
    assert columns.tolist() == [0.5, 3]
    assert columns.mean() == 1.75
    pooled = value(harness, Criterion(reduction="root_mean"), pred, 0 * pred)
    assert ulps(pooled.item(), Fraction(math.sqrt(4.625)), "float32") <= bound(4)


@pytest.mark.parametrize("shape", [(0,), (0, 3)], ids=str)
def test_20_empty_batches(harness, shape):
    """NaN in PyTorch, JAX and NumPy, 0.0 in TF v1, an array of shape (0,) in Keras."""
    empty = np.zeros(shape)
    found = value(harness, Criterion(), empty, empty)
    assert np.isnan(found)
    assert found.shape == ()
    assert value(harness, Criterion(empty="zero"), empty, empty) == 0
    assert value(harness, Criterion(reduction="sum"), empty, empty) == 0
    _, slope = gradient(harness, Criterion(empty="zero"), empty, empty)
    assert slope.shape == shape


def test_21_bad_arguments_get_a_sentence(harness):
    """PyTorch takes reduction="Mean" until it is called; NumPy into it: 'int' object is not
    callable; None into Keras on torch: Invalid dtype: object.
    """
    with pytest.raises(ValueError, match=r"^reduction: expected one of 'none', .*, got 'Mean'$"):
        harness.face(Criterion(reduction="Mean"))
    (pred,) = arrays(harness, np.ones(3))
    with pytest.raises(TypeError) as caught:
        harness.face(Criterion())(pred, None)
    assert str(caught.value).startswith(("target: expected ", "y_true: expected "))
    assert str(caught.value).endswith(", got None")


def test_22_a_variance_of_integers(harness):
    """``torch.nn.GaussianNLLLoss`` raises for an integer variance; its gradient ignores the clamp
    (test_losses.py).
    """
    pred, target = arrays(harness, [3.0, 1.0], [1.0, 1.0])
    variance = harness.array([4, 1], "int32" if "int32" in harness.dtypes else "uint8")
    face = harness.face(Criterion(GaussianNLL(), "sum"))
    found = harness.numpy(face(pred, target, variance=variance))
    assert found.dtype == np.float32
    exact = reference_arrays.value(
        "GaussianNLL",
        {"full": False, "eps": 1e-6},
        np.array([3.0, 1.0]),
        np.array([1.0, 1.0]),
        variance=np.array([4, 1]),
        reduction="sum",
    ).item()
    assert ulps(found.item(), exact, "float32") <= bound(2)
