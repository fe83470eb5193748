"""Terms add up over any split, the closed form has autograd's gradient, and a criterion is data."""

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import l2core
from agreement import bound
from l2core import Criterion, GaussianNLL, Huber, LogCosh, SquaredError, Terms, reference_arrays
from l2core.backend import backend_of
from l2core.exact import ulps
from semantics import KEPT, PRED, TARGET
from subjects import EVERY_LOSS, ONE_OF_EACH

pytestmark = pytest.mark.once

WEIGHT = np.array([1.0, 0.5, 0.0, 3.0])


def given_arrays(harness, rows=slice(None)):
    """pred, target and keyword arguments of these rows."""
    return (
        harness.array(PRED[rows], "float32"),
        harness.array(TARGET[rows], "float32"),
        {
            "weight": harness.array(WEIGHT[rows], "float32"),
            "mask": harness.array(KEPT[rows]),
        },
    )


SPLITS = [[slice(0, 2), slice(2, 4)], [slice(0, 1), slice(1, 1), slice(1, 4)]]


@pytest.mark.parametrize(
    ("reduction", "denominator"), [("mean", "weight"), ("mean", "count"), ("root_mean", "batch")]
)
def test_terms_add_up_over_any_split(harness, reduction, denominator):
    """The whole, from parts of unequal sizes, empty ones among them; within the bounds of both."""
    criterion = Criterion(Huber(0.7), reduction, denominator)
    pred, target, more = given_arrays(harness)
    whole = harness.numpy(criterion(pred, target, **more)).item()
    again = harness.numpy(criterion.terms(pred, target, **more).value()).item()
    assert ulps(again, Fraction(whole), "float32") <= 2 * bound(PRED.size)
    for split in SPLITS:
        parts = []
        for rows in split:
            pred, target, more = given_arrays(harness, rows)
            parts.append(criterion.terms(pred, target, **more))
        value = harness.numpy(sum(parts).value())
        assert value.shape == ()
        assert value.dtype == np.float32
        assert ulps(value.item(), Fraction(whole), "float32") <= bound(PRED.size)


def test_a_mean_of_means_is_not_the_mean():
    """Micro-batches of 100, 3, 1 and 40: the mean of their means is what terms are there to avoid."""
    rng = np.random.default_rng(0)
    ends = [0, 100, 103, 104, 144]
    pred, target = rng.normal(size=144) * np.repeat([1, 5, 9, 2], np.diff(ends)), np.zeros(144)
    parts = [slice(a, b) for a, b in pairwise(ends)]
    criterion = Criterion()
    exact = reference_arrays.value("SquaredError", {}, pred, target).item()
    total = sum(criterion.terms(pred[part], target[part]) for part in parts).value()
    assert ulps(total.item(), exact, "float64") <= bound(144)
    means = np.mean([criterion(pred[part], target[part]) for part in parts])
    assert abs(means / float(exact) - 1) > 0.15


def test_terms_under_axis_and_nothing(harness):
    criterion = Criterion(axis=0, empty="zero")
    pred, target, more = given_arrays(harness)
    nothing = harness.array(np.zeros(4, bool))
    empty = criterion.terms(pred, target, mask=nothing)
    assert harness.numpy(empty.value()).tolist() == [0, 0, 0]
    full = criterion.terms(pred, target, **more)
    assert harness.numpy((empty + full).value()).tolist() == harness.numpy(full.value()).tolist()


def test_terms_have_gradients(harness):
    """Σ numerators / Σ denominators differentiates through the adding up."""
    if not harness.autograd:
        return
    criterion = Criterion()

    def by_halves(pred, target, weight):
        first = criterion.terms(pred[:2], target[:2], weight=weight[:2])
        return sum([first, criterion.terms(pred[2:], target[2:], weight=weight[2:])]).value()

    pred, target, more = given_arrays(harness)
    _, whole = harness.value_and_grad(criterion, pred, target, weight=more["weight"])
    _, halves = harness.vjp(by_halves, pred, target, more["weight"])
    for a, b in zip(harness.numpy(whole).flat, harness.numpy(halves[0]).flat, strict=True):
        assert ulps(b.item(), Fraction(a.item()), "float32") <= bound(PRED.size)


def test_terms_of_other_criteria_do_not_add():
    a, b = np.ones(3), np.zeros(3)
    plain = Criterion().terms(a, b)
    for other in (Criterion(reduction="root_mean"), Criterion(empty="zero")):
        with pytest.raises(ValueError, match=r"^Terms: expected terms of the same criterion, got "):
            plain + other.terms(a, b)
    for strange in (1, 0.0, "terms", None, a):
        with pytest.raises(TypeError):
            plain + strange
    with pytest.raises(TypeError):
        1 + plain
    assert sum([plain]).value() == 1
    assert (0 + plain) is plain


def test_terms_are_of_means():
    for reduction in ("none", "sum"):
        with pytest.raises(
            ValueError, match=r'^reduction: expected "mean" or "root_mean" .*, got '
        ):
            Criterion(reduction=reduction).terms(np.ones(3), np.zeros(3))


@pytest.mark.parametrize("denominator", ["weight", "count", "size", "batch", 7.0])
def test_a_denominator_is_an_array_like_the_numerator(harness, denominator):
    """Ready for an all-reduce, however it is known."""
    for axis in (None, 0):
        pred, target, more = given_arrays(harness)
        for others in ({}, more, {"denominator": 3}):
            terms = Criterion(denominator=denominator, axis=axis).terms(pred, target, **others)
            known = backend_of(terms.numerator, "numerator")
            assert isinstance(terms.denominator, known.arrays)
            assert harness.numpy(terms.denominator).dtype == np.float32
            assert harness.numpy(terms.denominator).shape in ((), (3,) if axis == 0 else ())


def test_terms_times_a_number_count_so_many_times(harness):
    pred, target, _ = given_arrays(harness)
    first = Criterion().terms(pred[:1, :], target[:1, :])
    second = Criterion().terms(pred[1:, :], target[1:, :])
    once = harness.numpy((first + first + second).value())
    for times in (2, 2.0, np.float32(2)):
        for twice in (first * times, times * first):
            assert harness.numpy((twice + second).value()).item() == pytest.approx(once, rel=1e-6)
    assert harness.numpy(first.detach().value()) == harness.numpy(first.value())
    assert isinstance(first.item(), float)
    assert first.item() == harness.numpy(first.value()).item()
    for wrong in (pred, "2", None):
        with pytest.raises((TypeError, ValueError)):
            first * wrong
    if "float64" in harness.dtypes and "jax" not in harness.name:
        wide = first.to("float64" if "torch" not in harness.name else pred.double().dtype)
        assert harness.numpy(wide.numerator).dtype == np.float64


def test_terms_are_two_numbers():
    terms = Criterion().terms(np.array([3.0, 1.0]), np.zeros(2), weight=np.array([1.0, 3.0]))
    assert (terms.numerator, terms.denominator) == (12, 4)
    with pytest.raises(FrozenInstanceError):
        terms.numerator = 0
    given_by_caller = Criterion().terms(np.array([3.0, 1.0]), np.zeros(2), denominator=8)
    assert given_by_caller.value() == 10 / 8
    assert (given_by_caller + given_by_caller).value() == 20 / 16


@given(cuts=st.lists(st.integers(0, 50), max_size=6), seed=st.integers(0, 2**32))
def test_any_split_of_any_data(cuts, seed):
    rng = np.random.default_rng(seed)
    pred, target = rng.normal(size=(2, 50, 2))
    weight, mask = rng.integers(0, 3, 50).astype(float), rng.random((50, 2)) < 0.8
    ends = [0, *sorted(cuts), 50]
    criterion = Criterion(LogCosh(), "root_mean")
    parts = [
        criterion.terms(pred[a:b], target[a:b], weight=weight[a:b], mask=mask[a:b])
        for a, b in pairwise(ends)
    ]
    exact = reference_arrays.value(
        "LogCosh", {}, pred, target, weight=weight, mask=mask, reduction="root_mean"
    ).item()
    assert ulps(sum(parts).value().item(), exact, "float64") <= bound(100)


# --- the closed form ----------------------------------------------------------------------------

FORMS = [
    {"reduction": "none"},
    {"reduction": "sum"},
    {},
    {"denominator": "count"},
    {"denominator": 7.0, "axis": 1},
    {"reduction": "root_mean"},
    {"reduction": "root_mean", "axis": 0, "denominator": "batch"},
]


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_closed_form_is_the_gradient_of_autograd(harness, options):
    """Each is within the bound of the oracle, so they are within twice the bound of each other."""
    if not harness.autograd:
        return
    criterion = Criterion(Huber(0.7), **options)
    pred, target, more = given_arrays(harness)
    value, gradient = harness.value_and_grad(criterion, pred, target, **more)
    with harness.context():
        closed = criterion.value_and_grad(pred, target, **more)
    for one, other in ((closed[0], value), (closed[1], gradient)):
        for a, b in zip(harness.numpy(one).flat, harness.numpy(other).flat, strict=True):
            assert ulps(a.item(), Fraction(b.item()), "float32") <= 2 * bound(PRED.size)


def test_closed_form_of_complex_is_the_steepest_ascent():
    value, gradient = Criterion().value_and_grad(np.array([1 + 2j, 0]), np.zeros(2))
    assert value == 2.5
    assert gradient.tolist() == [1 + 2j, 0]
    _, real = Criterion().value_and_grad(np.ones(2), np.array([1j, 0]))
    assert real.dtype == np.float64
    assert real.tolist() == [1, 1]


def test_closed_form_with_variance():
    value, gradient = Criterion(GaussianNLL(), "sum").value_and_grad(
        np.array([2.0]), np.array([0.0]), variance=np.array([1.0])
    )
    assert (value, gradient.tolist()) == (2, [2])


# --- criteria as data ---------------------------------------------------------------------------

CRITERIA = [
    Criterion(),
    Criterion(Huber(0.3), "root_mean", 12.5, (0, -1), "zero", "ignore"),
    Criterion(GaussianNLL(full=True), "mean", "count", 1),
    Criterion(SquaredError(), "none"),
    *[Criterion(loss, "sum") for loss in EVERY_LOSS],
    Criterion(Huber(float("inf"))),
]


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
def test_config_survives_json(criterion):
    config = criterion.to_config()
    assert Criterion.from_config(config) == criterion
    text = json.dumps(config)
    again = Criterion.from_config(json.loads(text))
    assert again == criterion
    assert hash(again) == hash(criterion)
    assert again.to_config() == config
    assert set(config) == {"version", *(f.name for f in fields(Criterion))}


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
def test_criteria_copy_and_pickle(criterion):
    assert pickle.loads(pickle.dumps(criterion)) == criterion
    assert copy.deepcopy(criterion) == criterion
    assert eval(repr(criterion), vars(l2core) | {"inf": float("inf")}) == criterion
    assert replace(criterion) == criterion


def changed(**changes):
    return {**Criterion(Huber(0.3)).to_config(), **changes}


BAD_CONFIGS = [
    (ValueError, "config", changed(weights="x")),
    (ValueError, "version", changed(version=2)),
    (ValueError, "version", changed(version="1")),
    (ValueError, "loss", changed(loss={"name": "Huber", "delta": 1.0, "beta": 2.0})),
    (ValueError, "loss", changed(loss={"name": "hubert", "delta": 1.0})),
    (ValueError, "loss", changed(loss={"name": ["Huber"]})),
    (ValueError, "loss", changed(loss="HUBER")),
    (TypeError, "loss", changed(loss=Huber)),
    (TypeError, "loss", changed(loss=None)),
    (TypeError, "loss", changed(loss={"delta": 1.0})),
    (ValueError, "delta", changed(loss={"name": "Huber", "delta": -1.0})),
    (ValueError, "reduction", changed(reduction="average")),
    (TypeError, "axis", changed(axis="0")),
    (TypeError, "config", None),
    (TypeError, "config", "Huber"),
    (TypeError, "config", [("version", 1)]),
]


@pytest.mark.parametrize(("error", "name", "config"), BAD_CONFIGS, ids=str)
def test_bad_configs_raise(error, name, config):
    with pytest.raises(error, match=rf"^{name}: expected [^\n]+, got [^\n]+$"):
        Criterion.from_config(config)


@pytest.mark.parametrize("loss", ONE_OF_EACH, ids=repr)
def test_a_config_is_plain(loss):
    """Nothing but what JSON has; a stranger reads the loss by its name and fields."""
    config = Criterion(loss).to_config()
    assert config["loss"] == {"name": type(loss).__name__, **vars(loss)}
    assert config["version"] == 1
    assert type(config["loss"]) is dict


def test_terms_is_a_pair_for_everyone():
    assert [f.name for f in fields(Terms)][:2] == ["numerator", "denominator"]
