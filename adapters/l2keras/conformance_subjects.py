"""What the conformance checks judge in Keras and TensorFlow: ours, and Keras's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from l2core import AbsoluteError, Criterion, Huber, LogCosh, Loss, SquaredError
from l2core.arrays import Array
from l2core.conformance.case import Case
from l2core.conformance.subjects import Claim, Subject, every_parameter, of_ours

LOSSES: dict[str, dict[str, Loss]] = {
    "MeanSquaredError": {"": SquaredError()},
    "MeanAbsoluteError": {"": AbsoluteError()},
    "Huber": {"": Huber(), "delta=0.5": Huber(0.5)},
    "LogCosh": {"": LogCosh()},
}
CALL: dict[str, Any] = {
    "order": ("target", "pred"),
    "takes": {"weight": "sample_weight"},
    "squeezes": True,
}
SUM = '"sum" sums the means over the last axis: its documentation takes the mean over it first'
BY_COUNT = '"sum_over_batch_size" divides by the sample size, as its documentation says'
FLOATX = "its documentation says that computations have the dtype keras.backend.floatx()"
SAMPLES = "Keras documents weights of shape (batch_size,) as per sample"
SKIPPED = "Keras documents masked steps as skipped"
SAME = "its documentation gives both arrays the shape [batch_size, d0, .. dN]"


def tensorflow_subjects() -> list[Subject]:
    """The core on TensorFlow's own tensors."""
    return [of_ours("l2core on tensorflow", "tensorflow", "l2core.Criterion")]


def keras_subjects() -> list[Subject]:
    """Ours and Keras's, on the backend of this process."""
    import keras

    harness = f"keras-{keras.backend.backend()}"
    on = f" on {keras.backend.backend()}"
    takes = {name: name for name in ("mask", "denominator", *every_parameter())}
    criterion = of_ours(
        f"l2keras{on}",
        harness,
        "l2keras.Criterion",
        order=CALL["order"],
        takes={**takes, **CALL["takes"]},
        saves=through_a_file,
    )
    return [
        criterion,
        *(_ours(name, harness, on) for name in LOSSES),
        *(_theirs(name, harness, on) for name in LOSSES),
        *([] if harness == "keras-jax" else [_double(harness, on)]),
        _masked(harness, on),
        _function(harness, on),
        _metric(harness, on),
    ]


# --- what Keras's reductions divide by ------------------------------------------------------------


def last_axis(case: Case) -> float:
    """The length of the last axis."""
    return float(case.pred.shape[-1])


def selected(case: Case) -> float:
    """The number of elements that the mask leaves, weight 0 or not."""
    if case.mask is None:
        return float(case.pred.size)
    return float(np.count_nonzero(case.mask) * case.pred.size / case.mask.size)


def _claims(path: str, losses: dict[str, Loss]) -> tuple[Claim, ...]:
    found = []
    for parameters, loss in losses.items():
        mean = Criterion(loss, empty="zero")

        def made(reduction: str, parameters: str = parameters) -> str:
            return f"{path}({', '.join(x for x in (parameters, f'reduction={reduction}') if x)})"

        found += [
            Claim(mean, made("'sum_over_batch_size'"), selected),
            Claim(mean, made("'mean_with_sample_weight'")),
            Claim(mean, made("'sum'"), last_axis, named="sum"),
            Claim(Criterion(loss, axis=-1, empty="zero"), made("None"), last_axis, named="none"),
        ]
    return tuple(found)


CONVENTIONS = {"semantics/sum-of-all": SUM, "semantics/weighted-mean": BY_COUNT}


def _ours(name: str, harness: str, on: str) -> Subject:
    return Subject(
        f"l2keras.{name}{on}",
        harness,
        _claims(f"l2keras.{name}", LOSSES[name]),
        **{**CALL, "takes": {**CALL["takes"], "mask": "mask"}},
        selects=True,
        pairwise=True,
        refuses=_refused(f"l2keras.{name}"),
        saves=through_a_file,
        ours=True,
        conventions=CONVENTIONS,
    )


def _refused(path: str) -> tuple[str, ...]:
    wrong = ["reduction='Mean'", *(["delta=-1.0", "delta=0.0"] if path.endswith("Huber") else [])]
    return tuple(f"{path}({x})" for x in wrong)


def _theirs(name: str, harness: str, on: str) -> Subject:
    return Subject(
        f"keras.losses.{name}{on}",
        harness,
        _claims(f"keras.losses.{name}", LOSSES[name]),
        **CALL,
        weights=("sample",),
        weighted_ndims=(2, 3),
        dtypes=("float32",),
        halves="float32",
        refuses=_refused(f"keras.losses.{name}"),
        saves=through_a_file,
        builtin=True,
        conventions={**CONVENTIONS, "semantics/float64-is-kept": FLOATX},
        implies={"semantics/unequal-shapes": SAME, "semantics/leading-axes": SAMPLES},
    )


def _double(harness: str, on: str) -> Subject:
    """The dtype given: float64, where the backend has it."""
    claim = Claim(
        Criterion(SquaredError(), empty="zero"),
        "keras.losses.MeanSquaredError(dtype='float64')",
        selected,
    )
    return Subject(
        f"keras.losses.MeanSquaredError(dtype='float64'){on}",
        harness,
        (claim,),
        **CALL,
        weights=("sample",),
        weighted_ndims=(2, 3),
        dtypes=("float64",),
        halves=None,
        builtin=True,
        conventions={"semantics/weighted-mean": BY_COUNT},
        implies={"semantics/unequal-shapes": SAME, "semantics/leading-axes": SAMPLES},
    )


class Masked:
    """A loss of predictions that carry a Keras mask, as a layer gives it to them."""

    def __init__(self, loss: Callable[..., Array]) -> None:
        self.loss = loss

    def __call__(self, y_true: Array, y_pred: Array, mask: Array | None = None) -> Array:
        """The loss."""
        from keras.src.backend.common.masking import set_keras_mask

        if mask is not None:
            set_keras_mask(y_pred, mask)
        return self.loss(y_true, y_pred)


def _masked(harness: str, on: str) -> Subject:
    claim = Claim(
        Criterion(SquaredError(), empty="zero"),
        "l2keras.conformance_subjects.Masked(keras.losses.MeanSquaredError())",
        selected,
    )
    skips = dict.fromkeys(("semantics/mask", "calculus/absent"), SKIPPED)
    return Subject(
        f"keras.losses.MeanSquaredError under a mask{on}",
        harness,
        (claim,),
        **{**CALL, "takes": {"mask": "mask"}},
        masks=("sample",),
        ndims=(2,),
        dtypes=("float32",),
        halves=None,
        builtin=True,
        conventions={"semantics/float64-is-kept": FLOATX},
        implies={"semantics/unequal-shapes": SAME, **skips},
    )


def _function(harness: str, on: str) -> Subject:
    claim = Claim(Criterion(SquaredError(), axis=-1), "keras.losses.mean_squared_error")
    return Subject(
        f"keras.losses.mean_squared_error{on}",
        harness,
        (claim,),
        **{**CALL, "takes": {}},
        halves="same",
        builtin=True,
        implies={"semantics/unequal-shapes": SAME},
    )


def _metric(harness: str, on: str) -> Subject:
    claim = Claim(Criterion(SquaredError(), empty="zero"), "keras.metrics.MeanSquaredError()")
    return Subject(
        f"keras.metrics.MeanSquaredError{on}",
        harness,
        (claim,),
        **CALL,
        weights=("sample",),
        weighted_ndims=(2, 3),
        dtypes=("float32",),
        halves="float32",
        differentiable=False,
        builtin=True,
    )


def through_a_file(loss: Any) -> Any:
    """The loss of a compiled model that was saved as .keras and loaded again."""
    import keras

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss=loss)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return keras.models.load_model(path).loss
