"""The checks themselves: each must fail a loss that is broken on purpose, and pass the honest one."""

import copy

import pytest

from l2core.conformance.checks import checks
from l2core.conformance.runner import FAILED, PASSED, Options, examine
from wrong_losses import closed_form, described, rounded_once, traced

# Of each check, a mistake that it must notice, with how the loss is described beside it.
SUM = {"reductions": ("sum",)}
NONE = {"reductions": ("none",)}
ROOT = {"reductions": ("root_mean",)}
BAD = {"refuses": ("wrong_losses.Written({mistake!r}, 'Mean')",)}
MISTAKES = {
    "accuracy/rho": ("cancels", {**NONE, "kind": "log_cosh"}),
    "accuracy/value": ("divides by n", {}),
    "accuracy/gradient": ("halves the gradient", {}),
    "accuracy/correctly-rounded": ("rounds each sum", {"make": rounded_once}),
    "accuracy/long-sums": ("sums in halves", {}),
    "accuracy/halves": ("computes in halves", {}),
    "accuracy/half-gradients": ("halves the gradient", {}),
    "parity/value": ("divides by n", {}),
    "parity/gradient-bits": ("divides in the graph", {}),
    "invariance/permutation": ("counts the first twice", {}),
    "invariance/split": ("adds a constant", SUM),
    "invariance/many-parts": ("adds up in float32", {"mergeable": True}),
    "invariance/denominator-ahead": ("guesses its denominator", {"mergeable": True}),
    "invariance/padding": ("multiplies", {}),
    "invariance/layout": ("reads storage", {}),
    "invariance/threads": ("depends on threads", {}),
    "invariance/repetition": ("weighs twice", {}),
    "invariance/weight-scale": ("adds an epsilon to the weights", {}),
    "semantics/unequal-shapes": ("broadcasts", {}),
    "semantics/shape-of-result": ("keeps an axis", {}),
    "semantics/number": ("returns an array", {"make": closed_form}),
    "semantics/order": ("swaps its arguments", {"kind": "pinball"}),
    "semantics/weighted-mean": ("divides by n", {}),
    "semantics/weights-select": ("weighs the mean", {}),
    "semantics/leading-axes": ("aligns with the last axes", {}),
    "semantics/zero-weight": ("multiplies", {}),
    "semantics/mask": ("multiplies", {}),
    "semantics/empty": ("nothing is zero", {}),
    "semantics/nan-propagates": ("replaces NaN", {}),
    "semantics/nan-targets": (
        "ignores missing predictions",
        {"criterion": {"nan_targets": "ignore"}, "honest": "keeps targets"},
    ),
    "semantics/overflow": ("hides infinity", {}),
    "semantics/factor": ("", {"kind": "half", "honest_kind": "squared"}),
    "semantics/sum-of-all": ("sums means", SUM),
    "semantics/bad-options": ("accepts any option", BAD),
    "semantics/early-errors": ("checks its options late", BAD),
    "semantics/dtype-of-result": ("returns float64", {}),
    "semantics/dtype-of-gradient": ("gradients in float64", {"make": closed_form}),
    "semantics/float64-is-kept": ("computes in float32", {}),
    "semantics/integers": ("wraps integers", {}),
    "semantics/complex-numbers": ("drops the imaginary part", {}),
    "semantics/complex-refused": ("takes complex numbers", {"kind": "huber"}),
    "semantics/bad-arrays": ("raises what it likes", {}),
    "calculus/difference-quotients": ("halves the gradient", {}),
    "calculus/cotangent": ("forgets the cotangent", {}),
    "calculus/target": ("no gradient to the target", {}),
    "calculus/dependent-inputs": ("no gradient to the target", {}),
    "calculus/graph-and-hooks": ("differentiates in backward", {}),
    "calculus/curvature": ("its gradient is a constant", {}),
    "calculus/zero-at-zero": ("has slope 1 at 0", {"kind": "absolute"}),
    "calculus/finite-at-a-fit": ("roots without a guard", ROOT),
    "calculus/absent": ("selects too late", {}),
    "calculus/parameter": (
        "no gradient to its parameter",
        {"kind": "open huber", "takes": {"mask": "mask", "delta": "delta"}},
    ),
    "calculus/weight": ("drops weights of 0", {}),
    "theory/non-negative": ("subtracts a little", {}),
    "theory/zero-at-a-fit": ("adds an epsilon", {}),
    "theory/symmetric": ("penalises overshooting", {}),
    "theory/homogeneous": ("adds an epsilon", {}),
    "theory/convex": ("caps the loss", {}),
    "theory/sum-is-n-means": ("divides by n - 1", {"reductions": ("mean", "sum")}),
    "theory/mean-of-equals": ("sums in halves", {}),
    "theory/normal-equation": ("penalises overshooting", {}),
    "transforms/compiled": ("differs when traced", {"make": traced}),
    "transforms/vmap": ("looks at the data", {}),
    "transforms/vmap-of-gradient": ("looks at the data", {}),
    "transforms/forward-mode": ("has no forward mode", {}),
    "round_trips/pickled": ("forgets its parameter", {"kind": "huber"}),
    "round_trips/copied": ("forgets its parameter", {"kind": "huber"}),
    "round_trips/saved": ("forgets its parameter", {"kind": "huber", "saves": copy.copy}),
    "round_trips/config": ("forgets its parameter", {"kind": "huber"}),
}

MORE = [("accuracy/value", ("swaps its arguments", {"kind": "pinball"}))]


def subject(mistake, how, honest):
    how = dict(how)
    right, kind, make = how.pop("honest", ""), how.pop("honest_kind", None), how.pop("make", None)
    if make is not None:
        return make("" if honest else mistake)
    if honest and kind is not None:
        how["kind"] = kind
    if "refuses" in how:
        how["refuses"] = tuple(
            code.format(mistake="" if honest else mistake) for code in how["refuses"]
        )
    return described(right if honest else mistake, **how)


def test_every_check_has_a_mistake():
    assert set(MISTAKES) == set(checks())


@pytest.mark.parametrize(("name", "mistake"), [*MISTAKES.items(), *MORE])
def test_the_honest_loss_passes_and_the_mistake_is_noticed(name, mistake):
    verdicts = [
        examine(subject(*mistake, honest), checks()[name], Options(cases=20))
        for honest in (True, False)
    ]
    assert [v.verdict if v else None for v in verdicts] == [PASSED, FAILED], verdicts[0]
