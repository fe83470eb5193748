"""The cases by which a criterion means what it says, in groups named after the laws."""

import itertools

import numpy as np

from agreement import Case
from l2core import (
    AbsoluteError,
    Criterion,
    GaussianNLL,
    HalfSquaredError,
    Huber,
    SmoothL1,
    SquaredError,
)
from subjects import EVERY_LOSS, ONE_OF_EACH

rng = np.random.default_rng(20)
SHAPE = (4, 3)
PRED = np.round(rng.normal(size=SHAPE) * 2, 3)
TARGET = np.round(rng.normal(size=SHAPE) * 2, 3)
TARGET[1, 1] = PRED[1, 1]  # a residual of 0
ROWS = np.array([True, False, True, True])
KEPT = np.array([[1, 1, 0], [0, 0, 0], [1, 1, 1], [1, 0, 1]], bool)

WEIGHTINGS = {
    "nothing": {},
    "weight (N,)": {"weight": np.array([1.0, 0.5, 0.0, 3.0])},
    "weight (N, D)": {"weight": np.round(rng.random(SHAPE), 2) * KEPT},
    "weight (1, D)": {"weight": np.array([[2.0, 0.0, 0.25]])},
    "weight (N, 1)": {"weight": np.array([[1.0], [0.0], [2.0], [0.125]])},
    "weight ()": {"weight": np.array(2.5)},
    "weight number": {"weight": 0.3},
    "mask (N,)": {"mask": ROWS},
    "mask (N, D)": {"mask": KEPT},
    "mask (1, D)": {"mask": np.array([[True, False, True]])},
    "weight and mask": {"weight": np.array([[2.0, 0.0, 0.25]]), "mask": ROWS},
}
MEANS = [
    {"reduction": reduction, **rest}
    for reduction in ("mean", "root_mean")
    for rest in (
        {},
        {"denominator": "count"},
        {"denominator": "batch"},
        {"denominator": "size"},
        {"denominator": 7.5},
        {"axis": 0},
        {"axis": -1, "denominator": "count"},
        {"axis": (0, 1), "denominator": "batch"},
        {"axis": 1, "empty": "zero"},
    )
]
REDUCTIONS = [{"reduction": "none"}, {"reduction": "sum"}, {"reduction": "sum", "axis": 0}, *MEANS]


def case(loss, options, arguments, pred=PRED, target=TARGET, cotangent=1.5):
    if loss.needs:
        # From 1 on, so that log variance is not negative and nothing cancels.
        arguments = {**arguments, "variance": 1.0 + np.arange(pred.size).reshape(pred.shape) / 8}
    scalar = "weight" in arguments and np.ndim(arguments["weight"]) == 0 < pred.ndim
    if (
        scalar
        and options.get("reduction") not in ("none", "sum")
        and "denominator" not in arguments
    ):
        options = {"denominator": "count", **options}  # by the sum of weights it would cancel
    return Case(Criterion(loss, **options), pred, target, arguments, cotangent)


def absent(arguments, shape=SHAPE):
    """Where an element is absent, by NumPy's own broadcasting."""
    present = np.ones(shape, bool)
    for x in arguments.values():
        x = np.asarray(x)
        present &= x.reshape(x.shape + (1,) * (len(shape) - x.ndim)) != 0
    return ~present


def rubbish(arguments):
    """Arguments of a case with NaN, inf and large numbers wherever an element is absent."""
    pred, target = PRED.copy(), TARGET.copy()
    hidden = absent(arguments)
    pred[hidden] = np.resize([np.nan, np.inf, 1.0, 1e38, 0.0], hidden.sum())
    target[hidden] = np.resize([0.0, np.inf, np.nan, -1e38, -np.inf, np.nan, 1.0], hidden.sum())
    return {"pred": pred, "target": target}


def every_third(start, iterable):
    return list(itertools.islice(iterable, start, None, 3))


def reductions():
    """Each way to reduce under a third of the weightings in turn, and each weighting so."""
    for i, options in enumerate(REDUCTIONS):
        for name in every_third(i % 3, WEIGHTINGS):
            yield case(SquaredError(), options, WEIGHTINGS[name])


def selection():
    """What is absent has no part in value or gradient, whatever stands there."""
    chosen = [
        {"reduction": "none"},
        {"reduction": "sum"},
        {},
        {"reduction": "root_mean", "axis": 0},
    ]
    for (i, arguments), loss in zip(
        enumerate(x for x in WEIGHTINGS.values() if absent(x).any()),
        itertools.cycle([SquaredError(), Huber(0.7), AbsoluteError()]),
        strict=False,
    ):
        for options in (chosen[i % 4], chosen[(i + 2) % 4]):
            yield case(loss, options, arguments, **rubbish(arguments))


def alignment():
    """Weights and masks belong to the leading axes, also where the lengths would fit others."""
    square, cube = PRED[:3], np.round(rng.normal(size=(2, 2, 2)), 2)
    three, two = np.array([1.0, 0.0, 3.0]), np.array([1.0, 3.0])
    for options in ({}, {"axis": 0}):
        for pred, weight in (
            (square, three),
            (square, three[None, :]),
            (square, three[:, None]),
            (cube, two),
            (cube, np.array([[1.0, 2.0], [0.0, 4.0]])),
            (cube, two[None, :, None]),
            (cube, two[None, None, :]),
            (np.array([1.0, 100.0, 1.0]), np.array([1.0, 0.0, 1.0])),
        ):
            if pred.ndim > 1 or options == {}:
                target = np.zeros_like(pred)
                yield case(SquaredError(), options, {"weight": weight}, pred, target)
            if options == {}:
                yield case(SquaredError(), options, {"mask": weight != 0}, pred, target)


def empties():
    """A mean over nothing, of all or of one cell; the sum over nothing is 0."""
    none, some = np.zeros(4, bool), np.array([True, False, False, False])
    for mask in (none, some):
        for options in ({"axis": 1}, {"axis": 1, "empty": "zero"}, {}, {"empty": "zero"}):
            for reduction in ("mean", "root_mean"):
                yield case(SquaredError(), {"reduction": reduction, **options}, {"mask": mask})
    zeros = {"weight": np.zeros((4, 1))}
    yield case(SquaredError(), {}, zeros)
    yield case(SquaredError(), {"empty": "zero"}, zeros)
    yield case(SquaredError(), {"denominator": "batch"}, zeros)
    yield case(SquaredError(), {"denominator": 2.0}, zeros)
    yield case(SquaredError(), {"reduction": "sum"}, zeros)
    for shape in ((0,), (0, 3), (3, 0)):
        empty = np.zeros(shape)
        yield case(SquaredError(), {}, {}, empty, empty)
        yield case(SquaredError(), {"empty": "zero"}, {}, empty, empty)
        yield case(SquaredError(), {"reduction": "sum"}, {}, empty, empty)
        yield case(SquaredError(), {"reduction": "none"}, {}, empty, empty)
        yield case(SquaredError(), {"axis": 0}, {}, empty, empty)


def missing():
    """NaN targets propagate or are ignored; NaN predictions propagate always."""
    target, pred = TARGET.copy(), PRED.copy()
    target[0, 1] = target[2] = np.nan
    pred[3, 2] = np.nan
    weight = {"weight": np.array([1.0, 2.0, 0.5, 3.0])}
    for options in ({}, {"reduction": "none"}, {"axis": 1, "denominator": "count"}):
        for nan_targets in ("propagate", "ignore"):
            for arguments in ({}, weight):
                given = {**options, "nan_targets": nan_targets}
                yield case(SquaredError(), given, arguments, PRED, target)
                yield case(SquaredError(), given, arguments, pred, target)


def infinities():
    """inf - inf is NaN, and an infinite residual has an infinite loss."""
    pred, target = PRED.copy(), TARGET.copy()
    pred[0, 0] = np.inf
    target[2, 1] = np.inf
    both = pred.copy(), target.copy()
    both[0][3, 2] = both[1][3, 2] = -np.inf
    for loss in (SquaredError(), AbsoluteError(), Huber(0.7)):
        yield case(loss, {"reduction": "none"}, {}, pred, target)
        yield case(loss, {}, {"weight": np.array([1.0, 2.0, 0.5, 3.0])}, pred, target)
        yield case(loss, {"reduction": "none"}, {}, *both)
        yield case(loss, {"reduction": "sum", "axis": 0}, {}, *both)


def scalars():
    """Arrays of rank 0, of rank 1, and of one element."""
    for shape in ((), (1,), (1, 1), (5,), (2, 1, 3)):
        pred = np.round(rng.normal(size=shape), 2)
        target = np.zeros(shape)
        yield case(SquaredError(), {}, {}, pred, target)
        yield case(SquaredError(), {"reduction": "none"}, {"weight": 2.0}, pred, target)
        yield case(SquaredError(), {"reduction": "sum"}, {"weight": np.array(0.5)}, pred, target)
        yield case(SquaredError(), {}, {"mask": np.array(True)}, pred, target)


def given_denominators():
    """A denominator of the call takes the place of the field."""
    for given in (4.0, 5, np.array(4.0), np.array(0.0)):
        arguments = {**WEIGHTINGS["weight (N,)"], "denominator": given}
        yield case(SquaredError(), {}, arguments)
        yield case(SquaredError(), {"reduction": "root_mean", "axis": 1}, arguments)
    nothing = {"mask": np.zeros(4, bool), "denominator": np.array(0.0)}
    yield case(SquaredError(), {}, nothing)
    yield case(SquaredError(), {"empty": "zero"}, nothing)


def losses():
    """Every loss, as it is and weighted, with a residual of 0 and one at each end of a kink."""
    pred, target = PRED.copy(), TARGET.copy()
    pred[0], target[0] = [1.0, -1.0, 30.0], 0.0
    for loss in EVERY_LOSS:
        yield case(loss, {"reduction": "none"}, {}, pred, target)
        yield case(
            loss, {}, WEIGHTINGS["weight and mask"], **rubbish(WEIGHTINGS["weight and mask"])
        )


def perfect():
    """At a perfect fit the gradient is 0, that of the root too."""
    for loss in EVERY_LOSS:
        if not loss.needs:  # whose loss is not 0 there
            for options in ({}, {"reduction": "root_mean"}):
                yield case(loss, options, {}, TARGET, TARGET)
    yield case(SquaredError(), {"reduction": "root_mean", "axis": 0}, {}, PRED, TARGET * [1, 0, 1])


def complexes():
    """The three losses that have a complex meaning; real against complex too."""
    pred, target = PRED + 1j * np.flip(TARGET), TARGET - 0.5j
    pred[1, 1] = target[1, 1]
    for loss in (SquaredError(), HalfSquaredError(), AbsoluteError()):
        yield case(loss, {"reduction": "none"}, {}, pred, target)
        for name in ("nothing", "weight (N,)", "mask (N, D)"):
            yield case(loss, {}, WEIGHTINGS[name], pred, target)


GIVEN = {"delta": 0.7, "beta": 0.7, "q": 0.3, "tau": 0.3, "variance": 2.0, "log_variance": 0.7}
GIVEN |= {"c": 1.7, "scale": 1.7, "df": 3.3, "alpha": 0.7}
"""Of each parameter a value that no loss has by default."""


def parameters():
    """A parameter given with the call, as a number or an array that aligns like a weight."""
    rows, columns = np.array([1.0, 0.5, 0.25, 0.75]), np.array([[1.0, 0.5, 0.25]])
    for kind in map(type, ONE_OF_EACH):
        for name in kind.parameters:
            loss, x = kind(), GIVEN[name]
            each = x * np.array([[1.0, 0.5, 1.25]]) * rows[:, None]
            for number, given in enumerate((x, np.array(x), x * rows, x * columns, each)):
                if name == "variance":  # from 1 on nothing cancels; below eps it counts as eps
                    loss = GaussianNLL(eps=1.5)
                    given = given + 0.5 if isinstance(given, float) else np.array(given + 0.5)
                arguments = (WEIGHTINGS["weight and mask"], {})[number % 2]
                yield Case(Criterion(loss), PRED, TARGET, {**arguments, name: given})
                yield Case(Criterion(loss, "none"), PRED, TARGET, {**arguments, name: given})
            hidden = np.where(KEPT, x, np.nan)
            yield Case(Criterion(loss), PRED, TARGET, {name: hidden, "mask": KEPT})
            yield Case(Criterion(loss, "sum"), PRED, TARGET, {name: hidden, "weight": KEPT * 2.0})
    far = np.array([[np.inf, -np.inf, 3.0]] * 4)
    for delta in (np.inf, np.array([np.inf, 2.0, 0.5, np.inf]), np.full(SHAPE, np.inf)):
        yield Case(Criterion(Huber(), "none"), far, np.zeros(SHAPE), {"delta": delta})
    for beta in (0.0, np.array([0.0, 2.0, 0.5, 0.0])):
        yield Case(Criterion(SmoothL1()), PRED, TARGET, {"beta": beta})


GROUPS = {
    f.__name__: list(f())
    for f in (
        *(reductions, selection, alignment, empties, missing, infinities, scalars),
        *(given_denominators, losses, perfect, parameters),
    )
}
COMPLEX = list(complexes())
