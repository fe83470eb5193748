"""Inputs of the checks: arrays that break things, drawn by hypothesis so that failures shrink."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from l2core.conformance.case import HALVES, Case, cast
from l2core.conformance.extras import require
from l2core.conformance.harness import Harness, NumpyArray
from l2core.conformance.subjects import Claim, Subject
from l2core.losses import Loss

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

st: Any = require("hypothesis.strategies")


def fitted(case: Case, subject: Subject, claim: Claim) -> Case:
    """A case of vectors as this claim takes it: with a second axis, or parameters, if it must."""
    weighted = isinstance(case.weight, np.ndarray) and not subject.weighs(1)
    if 1 not in subject.ndims or claim.criterion.axis is not None or weighted:
        case = case.but(pred=case.pred[:, None], target=case.target[:, None])
        if isinstance(case.weight, np.ndarray) and "sample" not in subject.weights:
            case = case.but(weight=case.weight[:, None])
    return needed(case, claim)


def needed(case: Case, claim: Claim, value: float = 0.5) -> Case:
    """The case with the parameters that its loss needs, where it lacks them."""
    loss = claim.criterion.loss
    stand_ins = {name for other, name in loss.instead.items() if other in case.parameters}
    lacks = {*loss.needs} - {*case.parameters} - stand_ins
    return case.but(**{name: np.full(case.pred.shape, value, case.real) for name in lacks})


# --- what a check asks for -------------------------------------------------------------------------

VECTORS = ((1,), (2,), (3,), (7,), (8,), (9,), (17,))
MATRICES = ((1, 1), (2, 3), (3, 3), (4, 1), (1, 4), (3, 2))
FEW_VECTORS = ((1,), (6,))
FEW_MATRICES = ((2, 3),)
"""For frameworks that compile every operation once a shape."""

WEIGHTS = (1.0, 2.0, 0.5, 3.0, 0.1, 1000.0, 0.001)


@dataclass(frozen=True)
class Inputs:
    """The inputs that a check wants.

    ``values``: "wild" (infinities, NaN, subnormals, 1e±30), "finite" (the same without infinities
    and NaN) or "tame" (up to 1000). ``weight`` and ``mask``: "never", "maybe" or "always", where
    the subject takes them; with ``zeros``, some are 0 and False (in tame cases only: what stands
    there has checks of its own). ``parameters`` of the loss: the same, where they are not fixed;
    those that it needs come always.
    """

    values: str = "tame"
    weight: str = "maybe"
    mask: str = "maybe"
    parameters: str = "maybe"
    zeros: bool = True
    denominator: bool = True
    ndims: tuple[int, ...] = (1, 2)
    min_size: int = 1
    dtypes: tuple[str, ...] = ("float32", "float64")


def inputs(
    wanted: Inputs, subject: Subject, claim: Claim, harness: Harness
) -> SearchStrategy[Case]:
    """The strategy of the cases that a check wants and this subject takes."""
    dtypes = [d for d in wanted.dtypes if d in harness.dtypes and _takes_dtype(subject, d)]
    ndims = [n for n in wanted.ndims if n in subject.ndims]
    if claim.criterion.axis is not None:
        ndims = [2]
    if wanted.weight == "always":
        ndims = [n for n in ndims if subject.weighs(n)]
    vectors, matrices = (VECTORS, MATRICES) if harness.thrift < 4 else (FEW_VECTORS, FEW_MATRICES)
    shapes = [s for s in (*vectors, *matrices) if len(s) in ndims and np.prod(s) >= wanted.min_size]
    strategy: SearchStrategy[Case] = _cases(wanted, subject, claim, harness, dtypes, shapes)
    return strategy


def _takes_dtype(subject: Subject, dtype: str) -> bool:
    return subject.halves is not None if dtype in HALVES else dtype in subject.dtypes


@st.composite  # type: ignore[untyped-decorator]
def _cases(
    draw: DrawFn,
    wanted: Inputs,
    subject: Subject,
    claim: Claim,
    harness: Harness,
    dtypes: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
) -> Case:
    shape = draw(st.sampled_from(shapes))
    dtype = draw(st.sampled_from(dtypes))
    n = int(np.prod(shape))
    loss = claim.criterion.loss
    values = "finite" if subject.finite and wanted.values == "wild" else wanted.values
    pairs = draw(_pairs(values, dtype, harness.flushes, loss, n))
    pred, target = (np.asarray([p[i] for p in pairs]).reshape(shape) for i in (0, 1))
    drawn = Case(cast(pred, dtype), cast(target, dtype), dtype=dtype)
    others: dict[str, Any] = {}
    zeros = wanted.zeros and wanted.values == "tame"
    if _wants(draw, wanted.weight, subject.weighs(len(shape))):
        kinds = subject.weights
        if _cancels(claim):
            kinds = tuple(kind for kind in kinds if kind != "scalar")
        others["weight"] = draw(_weights(kinds, shape, drawn.real, zeros))
    if _wants(draw, wanted.mask, "mask" in subject.takes):
        others["mask"] = draw(_masks(subject.masks, shape, zeros))
    for name in _alternatives(draw, subject, claim):
        needs = loss.instead.get(name, name) in loss.needs
        wish = "always" if needs else wanted.parameters
        if _wants(draw, wish, name in given_to(subject, claim)):
            kinds = ("element",) if needs else ("sample", "output", "element")
            others[name] = draw(_arrays(kinds, shape, drawn.real, pool_of(loss, name)))
    if wanted.denominator and _divides(subject, claim) and draw(st.integers(0, 4)) == 4:
        others["denominator"] = draw(st.sampled_from((1.0, 3.0, 0.25)))
    return drawn.but(**others)


def _alternatives(draw: DrawFn, subject: Subject, claim: Claim) -> list[str]:
    """The parameters that may come together: of those that stand for each other, one."""
    loss, found = claim.criterion.loss, list(claim.criterion.loss.parameters)
    for other, name in loss.instead.items():
        both = {other, name} <= {*given_to(subject, claim)}
        found.remove(draw(st.sampled_from((other, other, name))) if both else other)
    return found


def given_to(subject: Subject, claim: Claim) -> list[str]:
    """The parameters that may come with a call: those that the loss does not fix."""
    loss = claim.criterion.loss
    return [x for x in loss.parameters if x in subject.takes and not loss.fixes(x)]


POOL = (0.5, 0.25, 0.9, 1.0, 2.0, 0.01, 100.0, 1e-9, 0.0)


@cache
def pool_of(loss: Loss, name: str) -> tuple[float, ...]:
    """Values of a parameter that the loss takes."""
    found = []
    for x in POOL:
        if (name, x) == ("alpha", 2.0):
            continue  # where Barron's derivative by it is infinite
        with suppress(ValueError):
            loss.check_parameter(name, x)
            found.append(x)
    return tuple(found)


def _wants(draw: DrawFn, wish: str, taken: bool) -> bool:
    return taken and (wish == "always" or (wish == "maybe" and draw(st.booleans())))


def _cancels(claim: Claim) -> bool:
    """Whether a scalar weight has no effect, and may be refused."""
    c = claim.criterion
    by_weight = c.denominator == "weight" and claim.divisor is None
    return by_weight and c.reduction in ("mean", "root_mean")


def _divides(subject: Subject, claim: Claim) -> bool:
    return "denominator" in subject.takes and claim.criterion.reduction in ("mean", "root_mean")


# --- numbers ---------------------------------------------------------------------------------------


def kinks(loss: Any, dtype: str) -> list[float]:
    """Residuals where a loss may change its form, with their neighbours."""
    edges = [0.0, 1.0, *(float(x) for x in vars(loss).values() if type(x) is float)]
    scalar: Any = np.float64 if dtype == "float64" else np.float32
    found: list[float] = []
    for edge in (e for e in edges if np.isfinite(e)):
        at = scalar(edge)
        near = [at, np.nextafter(at, scalar(np.inf)), np.nextafter(at, scalar(-np.inf))]
        found += [float(sign * x) for x in near if abs(x) > 1e-30 or x == 0 for sign in (1, -1)]
    return found


@cache
def _values(kind: str, dtype: str, flushes: bool) -> SearchStrategy[float]:
    dyadic = st.integers(-64, 64).map(lambda k: k / 8)
    limit = float(cast(1e3 if kind == "tame" else 1e30, "float16" if dtype in HALVES else dtype))
    limit = min(limit, 1e4) if dtype in HALVES else limit
    width = {"float64": 64}.get(dtype, 32)
    smooth = st.floats(
        float(np.float32(-limit)), float(np.float32(limit)), width=width, allow_subnormal=False
    )
    if kind == "tame":
        return st.one_of(dyadic, smooth)  # type: ignore[no-any-return]
    special = [0.0, -0.0, 1e-4, -1e-10, 1e4, -1e30, 1e30, 1e-30, 88.0, -100.0]
    if not flushes:
        tiny = float(np.finfo(np.float64 if dtype == "float64" else np.float32).smallest_subnormal)
        special += [tiny, -3 * tiny]
    if kind == "wild":
        special += [float("inf"), float("-inf"), float("nan")]
    return st.one_of(dyadic, smooth, st.sampled_from(special))  # type: ignore[no-any-return]


@cache
def _pairs(
    kind: str, dtype: str, flushes: bool, loss: Loss, n: int
) -> SearchStrategy[list[tuple[float, float]]]:
    """n predictions with their targets: at kinks, perfect fits, and anything."""
    at, values = st.sampled_from(kinks(loss, dtype)), _values(kind, dtype, flushes)
    few = st.integers(-4, 4).map(float)
    pair = st.one_of(
        at.map(lambda r: (r, 0.0)),
        st.tuples(few, at).map(lambda x: (x[0] + x[1], x[0])),
        values.map(lambda x: (x, x)),
        st.tuples(values, values),
    )
    return st.lists(pair, min_size=n, max_size=n)  # type: ignore[no-any-return]


@cache
def _weights(
    kinds: tuple[str, ...], shape: tuple[int, ...], dtype: str, zeros: bool
) -> SearchStrategy[Any]:
    pool = (*WEIGHTS, 0.0) if zeros else WEIGHTS
    options: list[Any] = []
    if "scalar" in kinds:
        options.append(st.sampled_from(WEIGHTS))
    kinds = tuple(kind for kind in kinds if kind != "scalar")
    options += [_arrays(kinds, shape, dtype, pool)] if kinds else []
    return st.one_of(*options)  # type: ignore[no-any-return]


@cache
def _arrays(
    kinds: tuple[str, ...], shape: tuple[int, ...], dtype: str, pool: tuple[float, ...]
) -> SearchStrategy[NumpyArray]:
    """Arrays of these values per sample, per output or per element, that begin with the first."""
    shapes = {"sample": shape[:1], "output": (1, *shape[1:]), "element": shape}
    found = [shapes[kind] for kind in kinds if not (kind == "output" and len(shape) < 2)]
    return st.one_of(*(_filled(pool, each, dtype, pool[0]) for each in found))  # type: ignore[no-any-return]


@cache
def _masks(
    kinds: tuple[str, ...], shape: tuple[int, ...], zeros: bool
) -> SearchStrategy[NumpyArray]:
    pool = (True, False) if zeros else (True,)
    shapes = [s for kind, s in (("sample", shape[:1]), ("element", shape)) if kind in kinds]
    options = [_filled(pool, found, "bool", True) for found in shapes]
    return st.one_of(*options)  # type: ignore[no-any-return]


@cache
def _filled(
    pool: tuple[Any, ...], shape: tuple[int, ...], dtype: str, first: Any
) -> SearchStrategy[NumpyArray]:
    """Arrays of these values whose first element is ``first``, so that not everything is absent."""
    n = int(np.prod(shape))

    def array(drawn: list[Any]) -> NumpyArray:
        return np.asarray([first, *drawn[1:]], dtype).reshape(shape)

    return st.lists(st.sampled_from(pool), min_size=n, max_size=n).map(array)  # type: ignore[no-any-return]
