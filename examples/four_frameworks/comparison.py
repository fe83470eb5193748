"""What the trained models are held against: NumPy, gradients of equal predictions, the minimum."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from four_frameworks.training import Job, Layers, Run
from scipy.optimize import minimize
from sklearn.linear_model import QuantileRegressor

import l2core


def evaluate(job: Job, layers: Layers) -> np.float32:
    """NumPy's loss of weights that another framework learned."""
    x = job.x
    for kernel, bias in layers[:-1]:
        x = np.maximum(x @ kernel + bias, 0)
    kernel, bias = layers[-1]
    return l2core.Criterion(job.loss)(x @ kernel + bias, job.target)


def losses_by_name(job: Job, runs: dict[str, Run]) -> dict[str, list[np.float32]]:
    """Each framework's losses by epoch, and NumPy's of the weights that PyTorch learned."""
    evaluated = [evaluate(job, layers) for layers in runs["PyTorch"].layers]
    return {**{name: run.losses for name, run in runs.items()}, "NumPy": evaluated}


def values_and_gradients(
    loss: l2core.Loss, pred: np.ndarray, target: np.ndarray
) -> dict[str, tuple[np.float32, np.ndarray]]:
    """The value of the loss and its gradient in all four, from the same predictions."""
    import jax
    import torch

    import l2jax
    import l2torch

    tensor = torch.tensor(pred, requires_grad=True)
    value = l2torch.Criterion(loss)(tensor, torch.tensor(target))
    value.backward()
    pairs = {
        "NumPy": l2core.Criterion(loss).value_and_grad(pred, target),
        "PyTorch": (value.detach(), tensor.grad),
        "Keras": keras_value_and_gradient(loss, pred, target),
        "JAX": jax.jit(jax.value_and_grad(l2jax.Criterion(loss)))(pred, target),
    }
    return {name: (np.float32(v), np.asarray(g)) for name, (v, g) in pairs.items()}


def keras_value_and_gradient(loss: l2core.Loss, pred: np.ndarray, target: np.ndarray) -> Any:
    """Keras has no gradient of its own: that of its backend, compiled as ``fit`` compiles it."""
    import keras

    import l2keras

    criterion = l2keras.Criterion(loss)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(jax.value_and_grad(lambda p: criterion(target, p)))(pred)
    if keras.backend.backend() == "torch":
        p = cast(Any, keras.ops.convert_to_tensor(pred)).requires_grad_()
        value = criterion(target, p)
        value.backward()
        return value.detach().cpu(), p.grad.cpu()
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def graded(p: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = criterion(target, p)
        return value, tape.gradient(value, p)

    return graded(tf.constant(pred))


def minimum(job: Job) -> tuple[str, np.ndarray]:
    """The linear model's best weights in float64, the intercept last, and how they were found."""
    x, target = job.x.astype(np.float64), job.target.astype(np.float64)
    columns = np.column_stack([x, np.ones(len(x))])
    probe = np.geomspace(1e-6, 1e3, 200)
    probe = np.concatenate([-probe, probe])
    curvature = np.unique(job.loss.curvature(probe, np))
    best = np.linalg.lstsq(columns, target, rcond=None)[0][:, 0]
    if len(curvature) == 1 and curvature[0] > 0:
        return "closed-form least squares", best
    if len(curvature) == 1:  # straight on both sides of 0, hence a linear program
        below, above = np.abs(job.loss.psi(np.array([-1.0, 1.0]), np))
        linear = QuantileRegressor(quantile=below / (below + above), alpha=0, solver="highs")
        linear.fit(x, target[:, 0])
        return "a linear program", np.append(linear.coef_, linear.intercept_)

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        value, grad = l2core.Criterion(job.loss).value_and_grad(columns @ w[:, None], target)
        return value, columns.T @ grad[:, 0]

    found = minimize(objective, best, jac=True, method="BFGS", options={"gtol": 1e-9})
    return "scipy on NumPy's gradients", found.x
