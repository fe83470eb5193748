"""What is known of the frameworks' own losses, the checks find by themselves, and say how grave."""

import keras
import pytest

from l2core.conformance.checks import checks
from l2core.conformance.processes import load
from l2core.conformance.runner import CONVENTION, PASSED, WRONG, Options, examine

ON = f" on {keras.backend.backend()}"
PROVIDERS = ("torch", "jax", "sklearn", f"keras.KERAS_BACKEND.{keras.backend.backend()}")

# (subject, check, verdict) of each defect; one that has been mended there is to be struck here.
DEFECTS = {
    "(N,) against (N, 1)": ("torch.nn.MSELoss", "semantics/unequal-shapes", WRONG),
    "(N,) against (N, 1), in Keras": (
        f"keras.losses.MeanSquaredError{ON}",
        "semantics/unequal-shapes",
        WRONG,
    ),
    "NaN under weight 0": ("F.mse_loss(weight=)", "semantics/zero-weight", CONVENTION),
    "NaN under a Keras mask": (
        f"keras.losses.MeanSquaredError under a mask{ON}",
        "semantics/mask",
        WRONG,
    ),
    "its gradient there": (
        f"keras.losses.MeanSquaredError under a mask{ON}",
        "calculus/absent",
        WRONG,
    ),
    "Huber's denominator": ("F.huber_loss(weight=)", "semantics/weighted-mean", CONVENTION),
    "Keras's denominator": (
        f"keras.losses.MeanSquaredError{ON}",
        "semantics/weighted-mean",
        CONVENTION,
    ),
    "1-D weights do not select": (
        f"keras.losses.MeanSquaredError{ON}",
        "semantics/weights-select",
        WRONG,
    ),
    "(B,) weights on (B, T, D)": (
        f"keras.losses.MeanSquaredError{ON}",
        "semantics/leading-axes",
        WRONG,
    ),
    "uint8 wraps around": ("torchmetrics MeanSquaredError", "semantics/integers", WRONG),
    "float16 overflows": ("torch.nn.MSELoss", "accuracy/halves", WRONG),
    "a float16 sum of 70,000 ones": (
        "torchmetrics mean_squared_error",
        "theory/mean-of-equals",
        WRONG,
    ),
    "a root's gradient at a fit": (
        "torchmetrics mean_squared_error",
        "calculus/finite-at-a-fit",
        WRONG,
    ),
    "float64 is cast to float32": (
        f"keras.losses.MeanSquaredError{ON}",
        "semantics/float64-is-kept",
        CONVENTION,
    ),
    "Huber's delta is lost on saving": (f"keras.losses.Huber{ON}", "round_trips/saved", WRONG),
    "log cosh of small residuals": ("optax.log_cosh", "accuracy/rho", WRONG),
    "log cosh overflows": ("torchmetrics log_cosh_error", "semantics/overflow", WRONG),
    "a negative delta": ("optax.huber_loss", "semantics/bad-options", WRONG),
    "complex residuals": (f"keras.losses.MeanSquaredError{ON}", "semantics/complex-numbers", WRONG),
    "empty input": ("sklearn mean_squared_error", "semantics/empty", CONVENTION),
    "a wrong reduction, late": ("torch.nn.MSELoss", "semantics/early-errors", CONVENTION),
    "vmap": ("torch.nn.GaussianNLLLoss", "transforms/vmap", WRONG),
    "weights ignored when compiled": ("F.l1_loss(weight=)", "transforms/compiled", WRONG),
    "two meanings of l2": ("optax.l2_loss", "semantics/factor", CONVENTION),
}


@pytest.fixture(scope="module")
def subjects():
    return {s.name: s for provider in PROVIDERS for s in load(provider)}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_known_defect_is_found(subjects, defect):
    subject, check, verdict = DEFECTS[defect]
    if keras.backend.backend() == "jax" and check == "semantics/float64-is-kept":
        verdict = None  # no float64 there to lose
    outcome = examine(subjects[subject], checks()[check], Options(cases=2))
    assert (outcome.verdict if outcome else None) == verdict
    assert outcome is None or outcome.report.snippet


def test_what_is_right_passes(subjects):
    outcome = examine(subjects["torch.nn.MSELoss"], checks()["semantics/factor"], Options())
    assert outcome.verdict == PASSED
