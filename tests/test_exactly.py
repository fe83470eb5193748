"""`exact=True`: the correctly rounded value, the same bits on every backend, in any order and split."""

import itertools
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest

import l2core
from exact_data import (
    COMPILED,
    DIGESTS,
    cases,
    corpus,
    digest,
    mixed,
    oracle,
    ordinary,
    same,
    tied,
    uniform,
    wild,
)
from l2core import AbsoluteError, Criterion, HalfSquaredError, SquaredError
from l2core.exact import rounded
from subjects import float_dtypes

pytestmark = pytest.mark.integers

LOSSES = (SquaredError(), HalfSquaredError(), AbsoluteError())


LONG = pytest.mark.long
OPTIONS = [
    {},
    pytest.param({"denominator": "count"}, marks=LONG),
    pytest.param({"denominator": "size"}, marks=LONG),
    pytest.param({"denominator": 0.1}, marks=LONG),
    pytest.param({"reduction": "root_mean"}, marks=LONG),
    pytest.param({"reduction": "sum"}, marks=LONG),
    pytest.param({"reduction": "none"}, marks=LONG),
]
by_option = pytest.mark.parametrize(
    "options", OPTIONS, ids=lambda o: "-".join(map(str, o.values()))
)


@by_option
def test_the_value_is_correctly_rounded(harness, options):
    for dtype in float_dtypes(harness):
        for p, t, more in cases(dtype):
            for loss in LOSSES:
                if (
                    options.get("reduction") == "root_mean"
                    and (more.get("weight", p[:1] ** 2) < 0).any()
                ):
                    continue
                arrays = {name: harness.array(x) for name, x in more.items()}
                criterion = Criterion(loss, exact=True, **options)
                found = criterion(harness.array(p, dtype), harness.array(t, dtype), **arrays)
                same(harness.numpy(found), oracle(loss, p, t, dtype, **options, **more))


@pytest.mark.parametrize(
    "axis", [0, (0, 2), pytest.param(1, marks=LONG), pytest.param(-1, marks=LONG)]
)
def test_along_axes(harness, axis):
    for dtype in float_dtypes(harness):
        p, t = (wild(60, k, dtype).reshape(3, 4, 5) for k in (1, 2))
        for more in ({}, {"weight": np.abs(ordinary(3, 3, dtype))}, {"mask": p > 0}):
            arrays = {name: harness.array(x) for name, x in more.items()}
            criterion = Criterion(axis=axis, exact=True)
            found = criterion(harness.array(p, dtype), harness.array(t, dtype), **arrays)
            same(harness.numpy(found), oracle(SquaredError(), p, t, dtype, axis=axis, **more))


@pytest.mark.modes("jit", "function", "xla", "compile")
def test_compiled(harness, mode):
    """A sure value, and a tie, which is added up in integers."""
    for dtype in float_dtypes(harness)[:1]:
        criterion = Criterion(exact=True)
        every = [(ordinary(8, 1, dtype), ordinary(8, 2, dtype)), *list(tied(dtype))[:1]]
        for p, t in every:
            arrays = [harness.array(x, dtype) for x in (p, t)]
            value, gradient = harness.value_and_grad(criterion, *arrays, mode=mode)
            same(harness.numpy(value), oracle(SquaredError(), p, t, dtype))
            same(
                harness.numpy(gradient),
                Criterion().value_and_grad(p.astype(dtype), t.astype(dtype))[1],
            )


def test_values_have_these_bits(harness):
    for dtype in float_dtypes(harness):
        found = []
        for p, t, w in corpus(dtype):
            more = {} if w is None else {"weight": harness.array(w, dtype)}
            pair = harness.array(p, dtype), harness.array(t, dtype)
            found += [harness.numpy(Criterion(loss, exact=True)(*pair, **more)) for loss in LOSSES]
        assert digest(found) == DIGESTS[dtype]


@pytest.mark.long
@pytest.mark.modes("jit", "function", "xla", "compile")
def test_compiled_values_have_these_bits(harness, mode):
    """Each size is a program of its own, so the first four, of float32."""
    found = []
    for p, t, w in itertools.islice(corpus("float32"), 4):
        arrays = [harness.array(x, "float32") for x in (p, t, w) if x is not None]
        for loss in LOSSES:
            face = harness.face(Criterion(loss, exact=True))

            def value(pred, target, weight=None, face=face):
                return face(pred, target, weight=weight)

            found.append(harness.numpy(harness.run(value, *arrays, mode=mode)))
    assert digest(found) == COMPILED


@pytest.mark.once
@pytest.mark.parametrize(
    "shards", [pytest.param(n, marks=LONG) if n != 3 else n for n in range(1, 9)]
)
def test_terms_of_any_split_and_order_have_these_bits(harness, shards):
    for dtype in float_dtypes(harness):
        found = []
        for k, (p, t, w) in enumerate(corpus(dtype)):
            order = np.argsort(mixed(len(p), k))
            parts = []
            for rows in np.array_split(order, shards):
                more = {} if w is None else {"weight": harness.array(w[rows], dtype)}
                pair = harness.array(p[rows], dtype), harness.array(t[rows], dtype)
                parts.append([Criterion(loss, exact=True).terms(*pair, **more) for loss in LOSSES])
            for terms in zip(*parts[::-1], strict=True):
                found.append(harness.numpy(sum(terms).value()))
        assert digest(found) == DIGESTS[dtype]


def test_threads_change_nothing(harness):
    threads = harness.features.get("threads")
    if threads is None:
        return  # one thread, or as many as the compiler takes
    p, t = (wild(3_000_001, k, "float32") for k in (1, 2))
    pair = harness.array(p), harness.array(t)
    found = []
    for n in (1, 2):
        with threads(n):
            found.append(harness.numpy(Criterion(exact=True)(*pair)))
    same(*found)
    same(found[0], Criterion(exact=True)(p, t))


def test_weighted_gradients_have_the_same_bits(harness):
    """1 / Σ ω, rounded once, times ω, times psi."""
    for dtype in float_dtypes(harness):
        p, t, w = ordinary(1001, 1, dtype), ordinary(1001, 2, dtype), uniform(1001, 3).astype(dtype)
        _, found = harness.value_and_grad(
            Criterion(exact=True),
            *(harness.array(x, dtype) for x in (p, t)),
            weight=harness.array(w, dtype),
        )
        total = np.dtype(dtype).type(rounded(sum(map(Fraction, w.tolist())), dtype))
        one = np.dtype(dtype).type(1)
        wanted = (one / total) * w * (2 * (p - t))
        assert harness.numpy(found).tobytes() == wanted.tobytes()


def test_the_denominator_is_rounded_once(harness):
    for dtype in float_dtypes(harness):
        t, w = ordinary(1001, 1, dtype), wild(1001, 2, dtype)
        told = Criterion(exact=True).denominator_of(
            harness.array(t, dtype), weight=harness.array(w, dtype)
        )
        exact = sum(map(Fraction, w.tolist()))
        same(harness.numpy(told), np.dtype(dtype).type(rounded(exact, dtype)))


def test_what_is_not_finite(harness):
    nan, inf = math.nan, math.inf
    for p, t, more, wanted in (
        ([1.0, nan], [0.0, 0.0], {}, nan),
        ([1.0, inf], [0.0, 0.0], {}, inf),
        ([1.0, inf], [0.0, inf], {}, nan),
        ([1.0, nan], [0.0, 0.0], {"mask": [True, False]}, 1.0),
        ([1.0, inf], [0.0, 0.0], {"weight": [0.5, 0.0]}, 1.0),
        ([1.0, 2.0], [0.0, 0.0], {"weight": [0.5, inf]}, nan),
        ([1.0, 2.0], [0.0, 0.0], {"mask": [False, False]}, nan),
        ([1.7e19, 1.7e19], [0.0, 0.0], {}, float(np.float32(np.float64(np.float32(1.7e19)) ** 2))),
        ([3e19, 3e19], [0.0, 0.0], {}, inf),
    ):
        arrays = {
            name: harness.array(np.array(x), None if name == "mask" else "float32")
            for name, x in more.items()
        }
        pair = [harness.array(np.array(x), "float32") for x in (p, t)]
        criterion = Criterion(exact=True)
        same(harness.numpy(criterion(*pair, **arrays)), np.float32(wanted))
        same(harness.numpy(criterion.terms(*pair, **arrays).value()), np.float32(wanted))
    zero = Criterion(exact=True, empty="zero")(*pair, mask=harness.array(np.zeros(2, bool)))
    same(harness.numpy(zero), np.float32(0))


def test_what_a_weight_of_0_hides_of_each_element(harness):
    p, w = np.array([math.nan, 2, math.inf], "float32"), np.array([0, 1, 0], "float32")
    found = Criterion(reduction="none", exact=True)(
        harness.array(p), harness.array(0 * w), weight=harness.array(w)
    )
    same(harness.numpy(found), np.float32([0, 4, 0]))


def test_subnormal_weights_count(harness):
    """XLA takes them for 0 in a comparison, and in arithmetic; the mean is far from that."""
    p, w = np.array([1e19, 1], "float32"), np.array([1e-40, 1e-37], "float32")
    for reduction in ("mean", "sum", "none"):
        criterion = Criterion(reduction=reduction, exact=True)
        wanted = oracle(SquaredError(), p, 0 * p, "float32", reduction=reduction, weight=w)
        arrays = harness.array(p), harness.array(0 * p)
        same(harness.numpy(criterion(*arrays, weight=harness.array(w))), wanted)
        if reduction == "mean":
            same(harness.numpy(criterion.terms(*arrays, weight=harness.array(w)).value()), wanted)


def test_where_a_thread_takes_subnormal_numbers_for_0():
    torch = pytest.importorskip("torch")
    p, w = np.array([1e19, 1], "float32"), np.array([1e-40, 1e-37], "float32")
    wanted = oracle(SquaredError(), p, 0 * p, "float32", weight=w)
    assert torch.set_flush_denormal(True)
    try:
        arrays = [torch.from_numpy(x) for x in (p, np.zeros(2, "float32"), w)]
        found = [
            Criterion(exact=True)(x, t, weight=w) for x, t, w in (arrays, map(np.asarray, arrays))
        ]
    finally:
        torch.set_flush_denormal(False)
    for value in found:
        same(value, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_byte_orders_and_scalars(dtype):
    for p in (ordinary(9, 1, dtype), np.full(8, 4097.0, dtype)):
        swapped = p.astype(p.dtype.newbyteorder())
        for found in (
            Criterion(exact=True)(swapped, 0 * swapped),
            Criterion(exact=True).terms(swapped, 0 * swapped).value(),
        ):
            same(found, oracle(SquaredError(), p, 0 * p, dtype))
        assert isinstance(Criterion(exact=True)(p, 0 * p), np.generic)


@pytest.mark.parametrize("n", [100, 20_000, 2_100_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_of_inputs_that_depend_on_each_other(n, weighted):
    """With hooks, below and above the thresholds of the fast paths: as of the plain value."""
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(ordinary(n, 1, "float32"))
    found = []
    for exact in (True, False):
        leaf = x.clone().requires_grad_()
        pred, target = leaf + leaf, leaf * leaf.detach()
        seen = []
        pred.register_hook(lambda grad, seen=seen: seen.append(grad) or 2 * grad)
        weight = pred.abs() + 0.5 if weighted else None
        value = Criterion(exact=exact)(pred, target, weight=weight)
        value.backward(retain_graph=True)
        found.append((leaf.grad.clone(), seen[0]))
        value.backward()
        assert torch.equal(leaf.grad, 2 * found[-1][0])
        if exact:
            pair = pred.detach().numpy(), target.detach().numpy()
            more = {} if weight is None else {"weight": weight.detach().numpy()}
            same(value.detach(), Criterion(exact=True)(*pair, **more))
    for ours, plain in zip(*found, strict=True):
        # Over the sum of weights, which is rounded once here, and several times there.
        rtol = n * 2.0**-24 if weighted else 0
        torch.testing.assert_close(ours, plain, rtol=rtol, atol=rtol * plain.abs().max().item())


def test_negative_views_and_tensors_without_data():
    torch = pytest.importorskip("torch")
    y = torch.imag((torch.arange(4.0) * 1j).conj())
    assert y.is_neg()
    for axis in (None, 0):
        criterion = Criterion(axis=axis, exact=True)
        assert criterion(y, 0 * y) == 3.5
        assert criterion(y, 0 * y, weight=-y) == 6.0
    empty = torch.ones(3, device="meta")
    assert Criterion(exact=True)(empty, empty).shape == ()


def test_lengths_that_are_open_while_tracing():
    tf = pytest.importorskip("tensorflow")

    def of(**options):
        return lambda a: Criterion(exact=True, **options)(a, 0 * a)

    for shape, options, wanted in (
        ([None, None], {"reduction": "none"}, (2, 8)),
        ([None, None], {}, ()),
        ([None, 8], {"axis": 0}, (8,)),
        ([None, 8], {"axis": 1}, (2,)),
    ):
        traced = tf.function(of(**options), input_signature=[tf.TensorSpec(shape)], autograph=False)
        assert traced(tf.ones([2, 8])).shape == wanted
    with pytest.raises(ValueError, match="got both open"):
        tf.function(of(axis=1), input_signature=[tf.TensorSpec([None, None])], autograph=False)(
            tf.ones([2, 8])
        )


def test_the_sum_overflows_where_the_mean_does_not(harness):
    """Plain sums of float32 do not hold it; the gradient is right all the same."""
    p = np.full(4, 1.8e19, np.float32)
    value, gradient = harness.value_and_grad(
        Criterion(exact=True), harness.array(p), harness.array(0 * p)
    )
    same(harness.numpy(value), oracle(SquaredError(), p, 0 * p, "float32"))
    same(harness.numpy(gradient), np.float32(2 / 4) * p)


def test_terms_survive_a_file_and_count_as_often_as_told():
    p, t = ordinary(50, 1, "float32"), ordinary(50, 2, "float32")
    criterion = Criterion(exact=True)
    first, second = criterion.terms(p[:20], t[:20]), criterion.terms(p[20:], t[20:])
    again = pickle.loads(pickle.dumps(first))
    same((again + second).value(), criterion(p, t))
    twice = np.concatenate([p[:20], p[:20], p[20:]]), np.concatenate([t[:20], t[:20], t[20:]])
    same((2 * first + second).value(), criterion(*twice))
    often = (1 << 29) * ((1 << 29) * first)
    same((often + often).value(), first.value())
    wide = criterion.terms(p[20:].astype(np.float64), t[20:].astype(np.float64))
    exact = (
        sum((Fraction(float(a)) - Fraction(float(b))) ** 2 for a, b in zip(p, t, strict=True)) / 50
    )
    same((first + wide).value(), np.float64(rounded(exact, "float64")))
    with pytest.raises(ValueError, match="terms of the same criterion"):
        first + Criterion(reduction="root_mean", exact=True).terms(p, t)
    with pytest.raises(TypeError):
        first * 0.5


@pytest.mark.once
def test_what_cannot_be_exact_says_so(harness):
    with pytest.raises(ValueError, match="exact: expected False, or one of SquaredError"):
        Criterion("huber", exact=True)
    with pytest.raises(TypeError, match="exact: expected a bool"):
        Criterion(exact=1)
    x = harness.array(np.arange(3), "int32")
    with pytest.raises(TypeError, match="pred: expected a real float, or an integer of at most 16"):
        Criterion(exact=True)(x, x)


def test_other_namespaces_say_so():
    strict = pytest.importorskip("array_api_strict")
    x = strict.asarray([1.0, 2.0])
    with pytest.raises(
        TypeError, match="exact: expected arrays of NumPy, PyTorch, JAX or TensorFlow"
    ):
        Criterion(exact=True)(x, x)


def test_it_is_a_field_like_the_others():
    criterion = Criterion(exact=True)
    assert criterion != Criterion()
    assert Criterion.from_config(criterion.to_config()) == criterion
    assert criterion.to_config()["exact"] is True
    assert l2core.Criterion.from_config({"loss": {"name": "SquaredError"}}).exact is False
