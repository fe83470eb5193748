"""`l2core.explain`: every convention is the code that it prints, and is found from its digits."""

import json
import math

import numpy as np
import pytest

import l2core
from l2core import explain
from l2core.explanation import data as blocks
from l2core.explanation.answer import candidates
from l2core.explanation.code import code_of
from l2core.explanation.data import Data
from l2core.explanation.printed import Printed, apart

RNG = np.random.default_rng(16)
N = 61
PRED, TARGET = RNG.uniform(0.2, 4, (2, N, 3))
ROWS = RNG.uniform(0.1, 2, N) * (np.arange(N) % 7 != 0)
EACH = RNG.uniform(0.1, 2, (N, 3))
MASK = RNG.random((N, 3)) < 0.8
BYTES = RNG.integers(0, 256, (2, N, 3)).astype(np.uint8)
CASES = {
    "plain": (PRED, TARGET, None, None),
    "one output": (PRED[:, 0], TARGET[:, 0], None, None),
    "weights of rows": (PRED, TARGET, ROWS, None),
    "weights of elements": (PRED, TARGET, EACH, None),
    "mask": (PRED, TARGET, None, MASK),
    "mask of rows": (PRED, TARGET, None, MASK[:, 0]),
    "both": (PRED, TARGET, ROWS, MASK),
    "bytes": (*BYTES, None, None),
    "halves": (PRED.astype(np.float16), TARGET.astype(np.float16), None, None),
    "weights that are whole": (PRED, TARGET, (ROWS * 100).astype(np.uint8), None),
    "holes under a weight of 0": (
        PRED,
        np.where(ROWS == 0, np.nan, TARGET.T).T,
        ROWS,
        None,
    ),
    "holes": (PRED, np.where(MASK, TARGET, np.nan), None, None),
    "a column against a row": (PRED[:, :1], TARGET[:, 0], None, None),
    "quantiles": (PRED, TARGET[:, 0], ROWS, None),
    "quantiles in a column": (PRED, TARGET[:, :1], None, None),
    "quantiles of outputs": (np.stack([PRED, PRED + 0.3], axis=-1), TARGET, None, MASK),
    "targets near 0": (PRED, np.where(MASK, TARGET, 1e-9), None, None),
    "another shape": (PRED[:, 0], TARGET[:, :1], EACH[:, :1], None),
}
by_case = pytest.mark.parametrize("case", CASES)


def namespace(arrays, **modules):
    names = dict(zip(("pred", "target", "weight", "mask"), arrays, strict=True))
    return (
        {"math": math, **vars(l2core), **{k: getattr(l2core, k) for k in ("Criterion",)}}
        | names
        | modules
    )


@by_case
def test_every_convention_is_its_code(case):
    """In NumPy, where the code shares nothing with the sums; and l2core's, where it has one."""
    import ml_dtypes

    arrays = CASES[case]
    data = Data.of(*arrays)
    names = namespace(arrays, np=np, ml_dtypes=ml_dtypes)
    tried = 0
    for c in candidates(data):
        if "factor" in c.parts and c.cost > 3:
            continue
        code = code_of(c, data)
        if not np.isfinite(c.value):
            continue
        half = "float16" in code["numpy"]
        with np.errstate(all="ignore"):
            found = float(eval(code["numpy"], names))
        rtol = 2e-2 if half else 1e-5 if case == "halves" else 1e-9
        np.testing.assert_allclose(found, c.value, rtol=rtol, atol=1e-12, err_msg=c.words)
        if "l2core" in code:
            found = float(eval(code["l2core"], names))
            rtol = 1e-5 if case in ("bytes", "halves") else 1e-9  # those become float32
            np.testing.assert_allclose(found, c.value, rtol=rtol, atol=1e-12, err_msg=c.words)
        tried += 1
    assert tried > 300


@pytest.mark.parametrize(
    ("framework", "case"),
    [
        ("torch", "plain"),
        ("torch", "one output"),
        *((f, case) for case in ("both", "quantiles") for f in ("torch", "jax", "keras")),
    ],
)
def test_code_of_the_frameworks(framework, case):
    """In float32, of the simple ones."""
    if framework == "torch":
        import torch

        modules, array = {"torch": torch}, torch.tensor
    elif framework == "jax":
        import jax.numpy as jnp
        import optax

        modules, array = {"jnp": jnp, "optax": optax}, jnp.asarray
    else:
        import keras

        modules, array = {"keras": keras}, keras.ops.convert_to_tensor
    arrays = [x if x is None or x.dtype == bool else x.astype(np.float32) for x in CASES[case]]
    data = Data.of(*arrays)
    names = namespace([None if x is None else array(x) for x in arrays], **modules)
    tried = 0
    for c in candidates(data):
        if c.cost > 2 or ("batches" in c.words and "32" not in c.words):
            continue
        code = code_of(c, data)[framework]
        found = float(eval(code, names))
        tolerance = 5e-2 if "float16" in code else 2e-5
        np.testing.assert_allclose(found, c.value, rtol=tolerance, atol=1e-6, err_msg=c.words)
        tried += 1
    assert tried > 25


@pytest.mark.parametrize("case", ["one output", "both"])
def test_blocks_change_nothing(case, monkeypatch):
    data = Data.of(*CASES[case])
    whole = {c.words: c.value for c in candidates(data)}
    monkeypatch.setattr(blocks, "BLOCK", 21)
    for c in candidates(data):
        np.testing.assert_allclose(c.value, whole[c.words], rtol=1e-10, atol=1e-13)


def test_a_number_is_found_from_its_digits():
    """Of every simple convention: always among the matches; first for most, more so with 5 digits."""
    every = list(candidates(Data.of(PRED, TARGET)))
    costs, values = (np.array([getattr(c, name) for c in every]) for name in ("cost", "value"))
    simple = [c for c in every if c.cost <= 2 and c.value != 0]
    first = {4: 0, 5: 0}
    for digits in first:
        for c in simple:
            printed = Printed.of(f"{c.value:.{digits}g}")
            fits = np.abs(values - printed.value) <= printed.slack
            assert printed.fits(c.value)
            others = fits & (np.abs(values - c.value) > 1e-9 * abs(c.value))
            first[digits] += not np.any(costs[others] < c.cost)
    assert len(simple) > 60
    assert first[4] >= 0.95 * len(simple)
    assert first[5] >= 0.99 * len(simple)


# --- what people asked in public ------------------------------------------------------------------


def words_of(value, *arrays, **more):
    return explain(value, *arrays, **more).matches[0].words


def test_weights_as_tensorflow_once_divided():
    """tensorflow#25178: r² of 0, 4, 4 with weights 0.1, 0, 0.1 printed as 0.2, 0.1333 and 2.0."""
    arrays = np.array([0.0, 2, 2]), np.zeros(3), np.array([0.1, 0, 0.1])
    assert words_of("2.0", *arrays) == "mean squared error over the sum of weights"
    assert words_of("0.1333", *arrays) == "squared error, summed, over all elements"
    assert "number of weights that are not 0" in words_of("0.2", *arrays)


def test_a_factor_of_the_batch_size():
    """pytorch#42997: a loss 128 times another."""
    mean = np.mean((PRED - TARGET) ** 2)
    assert words_of(f"{128 * mean:.6g}", PRED, TARGET) == (
        "mean squared error; times 128, as if by a batch size"
    )


@pytest.mark.parametrize("k", [2, 4, 8])
def test_divided_by_replicas_or_steps(k):
    """tensorflow#55321 (1/replicas), lightning#2569 (÷ accumulation steps)."""
    found = explain(f"{np.mean((PRED - TARGET) ** 2) / k:.7g}", PRED, TARGET)
    expected = f"mean squared error; divided by {k} (ranks, devices or accumulation steps)"
    assert found.matches[0].words == ("mean half squared error" if k == 2 else expected)


def test_the_mean_of_uneven_batches():
    """tf-keras#651: the last batch, which is shorter, counts as much as the others."""
    r = (PRED - TARGET) ** 2
    means = [r[i : i + 16].mean() for i in range(0, N, 16)]
    assert words_of(f"{np.mean(means):.6f}", PRED, TARGET) == (
        "mean of the means of batches of 16: squared error"
    )
    assert "without the last, shorter batch of 16" in words_of(f"{r[:48].mean():.6f}", PRED, TARGET)
    assert "of the last batch of 16" in words_of(f"{r[48:].mean():.6f}", PRED, TARGET)


def test_masks():
    """Padding counted; a mask multiplied in, over all; Keras's over the valid ones."""
    r = (PRED - TARGET) ** 2
    arrays = {"mask": MASK}
    assert "the mask ignored" in words_of(f"{r.mean():.6f}", PRED, TARGET, **arrays)
    assert words_of(f"{r[MASK].mean():.6f}", PRED, TARGET, **arrays) == (
        "mean squared error over the mask's elements"
    )
    assert words_of(f"{(r * MASK).mean():.6f}", PRED, TARGET, **arrays) == (
        "squared error, summed, over all elements"
    )
    both = {"mask": MASK, "weight": ROWS}
    keras = (r * MASK * ROWS[:, None] * (MASK.size / MASK.sum())).mean()
    assert "over the mask's elements" in words_of(f"{keras:.6f}", PRED, TARGET, **both)


def test_other_mistakes():
    p, t = PRED[:, 0], TARGET[:, 0]
    broadcast = np.mean((p[:, None] - t) ** 2)
    assert "broadcast to 61 x 61" in words_of(f"{broadcast:.6f}", p, t)
    assert "broadcast" in words_of(f"{np.abs(p[:, None] - t).mean():.6f}", p, t[:, None])
    pinball = np.mean(np.where(t > p, 0.9 * (t - p), 0.1 * (p - t)))
    assert words_of(f"{pinball:.6f}", p, t) == "mean pinball (q 0.9)"
    assert words_of(f"{2 * pinball:.6f}", p, t) == "mean pinball (q 0.9); times 2"
    rows = np.sqrt(((PRED - TARGET) ** 2).mean(axis=1)).mean()
    assert "root mean squared error of each row" in words_of(f"{rows:.6f}", PRED, TARGET)
    a, b = BYTES
    wrapped = np.mean((a - b) ** 2)
    assert "wrap around" in words_of(f"{wrapped:.4f}", a, b)
    stuck = (
        float(np.cumsum(((20 * p).astype(np.float16) - (20 * t).astype(np.float16)) ** 2)[-1]) / N
    )
    assert "one by one in float16" in words_of(f"{stuck:.6g}", 20 * p, 20 * t)
    scaled = np.mean(((PRED - TARGET) / TARGET.std(ddof=1)) ** 2)
    assert "standard deviation (n - 1)" in words_of(f"{scaled:.7f}", PRED, TARGET)
    logged = np.mean((np.log1p(PRED) - np.log1p(TARGET)) ** 2)
    assert words_of(f"{logged:.6f}", PRED, TARGET) == "mean squared logarithmic error"
    r2 = 1 - np.sum((p - t) ** 2) / np.sum((t - t.mean()) ** 2)
    assert words_of(f"{r2:.5f}", p, t) == "R²"


def test_two_numbers_are_explained_against_each_other():
    r = (PRED - TARGET) ** 2
    found = explain(f"{r.mean():.5f}", PRED, TARGET, other=f"{r.sum(axis=1).mean():.4f}")
    assert found.other.matches[0].words == "squared error, summed over outputs, mean over axis 0"
    assert (
        "the simplest change is: mean … → …, summed over outputs, mean over axis 0." in found.change
    )
    assert "times 3" in found.change
    assert "Nothing is known" in explain("0.123", p := PRED, p, other="7").change


def test_what_is_said():
    mean = np.mean((PRED - TARGET) ** 2)
    found = explain(f"{mean:.5f}", PRED, TARGET)
    assert found.sure
    assert str(found).startswith(f"{mean:.5f} is the mean squared error")
    assert found.matches[0].code["torch"] == "torch.nn.functional.mse_loss(pred, target)"
    assert not explain(f"{mean:.1g}", PRED, TARGET).sure
    assert "digits would tell it from the others" in str(explain("2.", PRED, TARGET))
    nothing = explain("123456.789", PRED, TARGET)
    assert not nothing.matches
    assert "none of" in str(nothing)
    assert json.loads(found.to_json())["matches"][0]["words"] == "mean squared error"
    # On so many rows batches of any size that divides them are the same; other rows tell them apart.
    p, t = np.tile(PRED, (4, 1))[:200], np.tile(TARGET, (4, 1))[:200]
    tied = explain(f"{np.mean((p - t) ** 2):.6f}", p, t)
    assert any("batches of 10" in words for words in tied.matches[0].same)
    assert "print it for the first" in str(tied)


def test_what_is_not_finite_is_named():
    target = np.where(MASK, TARGET, np.nan)
    found = explain(f"{np.nanmean((PRED - target) ** 2):.6f}", PRED, target)
    assert (
        found.matches[0].words == "mean squared error over the others; what is not finite left out"
    )
    assert f"{np.count_nonzero(~MASK)} of the residuals are not finite." in str(found)
    assert "of the residuals are not finite" in explain("7e7", PRED, target).verdict
    json.loads(found.to_json(), parse_constant=pytest.fail)


def test_digits_that_tell_values_apart():
    """From so many on they always differ, which the first difference does not say."""
    assert apart(0.1451, 0.1449) == 4
    assert apart(1.0, 1.0 + 1e-15) is None
    for a, b in RNG.uniform(1, 1.2, (200, 2)):
        d = apart(a, b)
        assert all(f"{a:.{k}g}" != f"{b:.{k}g}" for k in range(d, 18))
        assert d == 1 or f"{a:.{d - 1}g}" == f"{b:.{d - 1}g}"


def test_nothing_is_sure_of_a_zero():
    p = PRED + 0.01
    assert not explain("0.00", p, PRED).sure
    assert not explain("0.0", p, PRED).sure


@pytest.mark.parametrize(
    ("text", "value", "half", "digits"),
    [
        ("0.4711", 0.4711, 5e-5, 4),
        ("4.70e-3", 0.0047, 5e-6, 3),
        ("12 %", 0.12, 5e-3, 2),
        ("-1200", -1200, 0.5, 4),
        (0.25, 0.25, 5e-3, 2),
        (np.float32(0.1), 0.1, 0.05, 1),
        (np.array(3.5), 3.5, 0.05, 2),
    ],
)
def test_printed(text, value, half, digits):
    found = Printed.of(text)
    np.testing.assert_allclose((found.value, found.half, found.digits), (value, half, digits))
    assert found.fits(value + 0.99 * half)
    assert not found.fits(value + 1.01 * half + 1e-6 * abs(value))


def test_arrays_of_any_framework_and_what_is_wrong():
    import torch

    mean = f"{np.mean((PRED - TARGET) ** 2):.6f}"
    grad = torch.tensor(PRED, requires_grad=True)
    assert explain(mean, grad, torch.tensor(TARGET)).sure
    assert explain(mean, PRED.tolist(), TARGET.tolist()).sure
    halves = torch.tensor(PRED).bfloat16(), torch.tensor(TARGET).bfloat16()
    assert explain(float(((halves[0].float() - halves[1].float()) ** 2).mean()), *halves).matches
    for bad in (-EACH, np.where(MASK, np.nan, EACH), 0 * EACH):
        with pytest.raises(
            ValueError, match=r"^weight: expected finite numbers >= 0, some of them > 0"
        ):
            explain("1", PRED, TARGET, bad)
    for bad in ("1e400", "1e-400", "1" * 400):
        with pytest.raises(ValueError, match=r"^value: expected a number between 1e-290 and 1e290"):
            explain(bad, PRED, TARGET)
    with pytest.raises(ValueError, match=r"^value: expected one number, got shape \(2,\)"):
        explain(np.ones(2), PRED, TARGET)
    for bad, text in ((True, "True"), (None, "None")):
        with pytest.raises(TypeError, match=f"^value: expected a number or its digits, got {text}"):
            explain(bad, PRED, TARGET)
    with pytest.raises(ValueError, match=r"^other: expected the digits of a number, got 'abc'"):
        explain("1", PRED, TARGET, other="abc")
    with pytest.raises(ValueError, match=r"^value: expected a finite number, got 'nan'"):
        explain("nan", PRED, TARGET)
    with pytest.raises(
        ValueError, match=r"^pred and target: expected shapes that are equal but for"
    ):
        explain("1", PRED, TARGET[:5])
    with pytest.raises(TypeError, match=r"^mask: expected a bool array, got float64"):
        explain("1", PRED, TARGET, mask=EACH)
    with pytest.raises(
        ValueError, match=r"^pred: expected at least one element, got shape \(0, 3\)"
    ):
        explain("1", PRED[:0], TARGET[:0])
    with pytest.raises(TypeError, match=r"^target: expected a real dtype, got complex128"):
        explain("1", PRED, TARGET + 0j)
