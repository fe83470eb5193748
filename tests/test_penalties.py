"""Penalties: their convention, what others call them, and that these reach the same coefficients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from sklearn import linear_model
from sklearn.datasets import load_diabetes
from torch import nn

import l2jax
import l2torch
from l2core import Criterion, ElasticNet, Lasso, Ridge, least_squares

PENALTIES = [Ridge(0.3), Lasso(0.2), ElasticNet(0.2, 0.3)]
by_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=str)
DATA = load_diabetes(scaled=False)
X = (DATA.data - DATA.data.mean(0)) / DATA.data.std(0)
Y = DATA.target - DATA.target.mean()
WEIGHT = np.random.default_rng(0).uniform(0.2, 2, len(Y))


def by_hand(penalty, w):
    l1, l2 = penalty.coefficients
    return l1 * np.abs(w).sum() + l2 * (w**2).sum()


@by_penalty
def test_the_formula(harness, penalty):
    w = np.array([[1.0, -2.0], [0.0, 3.5]])
    for dtype in [x for x in ("float32", "float64") if x in harness.dtypes]:
        arrays = [harness.array(x, dtype) for x in (w, w[0])]
        value = harness.numpy(penalty(arrays[0]))
        assert value == pytest.approx(by_hand(penalty, w), rel=1e-6)
        assert value.dtype == dtype
        both = harness.numpy(penalty({"a": arrays[:1], "b": (arrays[1],)}))
        assert both == pytest.approx(by_hand(penalty, w) + by_hand(penalty, w[0]), rel=1e-6)


@by_penalty
def test_gradients(penalty):
    w = torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64, requires_grad=True)
    penalty(w).backward()
    l1, l2 = penalty.coefficients
    expected = l1 * np.sign([1, -2, 0]) + 2 * l2 * np.array([1.0, -2, 0])
    np.testing.assert_allclose(w.grad, expected, rtol=1e-15)
    np.testing.assert_allclose(jax.grad(penalty)(jnp.array([1.0, -2.0, 0.0])), expected, rtol=1e-6)


def test_what_is_wrong():
    for kind in (Ridge, Lasso):
        for x in (-1.0, float("nan"), float("inf"), "1", None):
            with pytest.raises((TypeError, ValueError), match=r"^l[12]: expected "):
                kind(x)
    with pytest.raises(TypeError, match="weights: expected at least one array"):
        Ridge()([])
    with pytest.raises(TypeError, match="weights: expected"):
        Ridge()(["a"])
    with pytest.raises(ValueError, match="convention: expected one of a single number"):
        Ridge.of("elastic_net", 1.0)
    with pytest.raises(ValueError, match="decoupled decay"):
        Ridge().to("adamw")
    with pytest.raises(ValueError, match="total: expected the number of samples"):
        Ridge().to("ridge")
    with pytest.raises(ValueError, match="l1: expected 0 for 'ridge'"):
        ElasticNet().to("ridge", total=3)
    with pytest.raises(ValueError, match="l2: expected 0 for 'lasso'"):
        Ridge().to("lasso")
    with pytest.raises(ValueError, match="convention: expected one of"):
        Ridge().to("sklearn")
    with pytest.raises(ValueError, match="loss: expected 'squared_error'"):
        Ridge().to("ridge", loss="huber", total=3)
    with pytest.raises(ValueError, match="reduction: expected"):
        Ridge().to("ridge", reduction="none", total=3)


def test_halves_add_up_in_float32():
    w = np.full(1000, 300, np.float16)
    assert Ridge(1.0)(w) == 9e7
    assert Ridge(1.0)(torch.from_numpy(w)).dtype is torch.float32


def test_they_print_their_formula():
    assert [str(x) for x in PENALTIES] == ["0.3·Σw²", "0.2·Σ|w|", "0.2·Σ|w| + 0.3·Σw²"]


WAYS = [
    {"loss": loss, "reduction": reduction, "total": 442.0}
    for loss in ("squared_error", "half_squared_error")
    for reduction in ("mean", "sum")
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way['reduction']} of {way['loss']}")
@pytest.mark.parametrize("convention", ["sgd", "keras", "ridge", "sgd_regressor"])
def test_there_and_back_again(convention, way):
    (value,) = Ridge(0.3).to(convention, **way).values()
    assert Ridge.of(convention, value, **way).l2 == pytest.approx(0.3, rel=1e-15)
    found = ElasticNet(0.2, 0.3).to("elastic_net", **way)
    back = ElasticNet.of("elastic_net", **found, **way)
    assert back.coefficients == pytest.approx((0.2, 0.3), rel=1e-14)
    assert Lasso.of("lasso", Lasso(0.2).to("lasso", **way)["alpha"], **way).l1 == pytest.approx(0.2)


def gradient(way, weight, w):
    """Of our loss alone, by its closed form."""
    criterion = Criterion(way["loss"], way["reduction"])
    return X.T @ criterion.value_and_grad(X @ w, Y, weight=weight)[1]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way['reduction']} of {way['loss']}")
class TestTheSameCoefficients:
    """Where the gradient of our loss and penalty vanishes, on the diabetes data."""

    def told(self, way, weighted):
        weight = WEIGHT if weighted else None
        total = WEIGHT.sum() if weighted else float(len(Y))
        size = total if way["reduction"] == "sum" else 1.0
        size *= 0.5 if way["loss"] == "half_squared_error" else 1.0
        return weight, {**way, "total": total}, size

    def test_ridge(self, way, weighted):
        weight, ours, size = self.told(way, weighted)
        penalty = Ridge(0.03 * size)
        peer = linear_model.Ridge(**penalty.to("ridge", **ours), fit_intercept=False, solver="svd")
        theirs = peer.fit(X, Y, sample_weight=weight).coef_
        slope = gradient(way, weight, theirs) + 2 * penalty.l2 * theirs
        assert np.abs(slope).max() <= 1e-10 * size * np.abs(Y).max()
        l2 = penalty.to("ridge", **ours)["alpha"]
        np.testing.assert_allclose(least_squares(X, Y, weight, l2).coefficients, theirs, rtol=1e-10)

    @pytest.mark.parametrize("l2", [0.0, 0.01])
    def test_lasso_and_elastic_net(self, way, weighted, l2):
        weight, ours, size = self.told(way, weighted)
        l1 = 6.0 * size
        if l2:
            told = ElasticNet(l1, l2 * size).to("elastic_net", **ours)
            peer = linear_model.ElasticNet(**told, fit_intercept=False, tol=1e-15, max_iter=100_000)
        else:
            told = Lasso(l1).to("lasso", **ours)
            peer = linear_model.Lasso(**told, fit_intercept=False, tol=1e-15, max_iter=100_000)
        theirs = peer.fit(X, Y, sample_weight=weight).coef_
        slope = gradient(way, weight, theirs) + 2 * l2 * size * theirs
        on = theirs != 0
        assert 2 < on.sum() < len(on)
        # Where a weight is not 0 the slope is -l1·sign, else between both.
        np.testing.assert_allclose(slope[on], -l1 * np.sign(theirs[on]), rtol=1e-8)
        assert (np.abs(slope[~on]) <= l1).all()
        # Ours, solved on their support: exactly, by the same closed form.
        k = (2.0 if way["loss"] == "squared_error" else 1.0) * (
            1 if way["reduction"] == "sum" else 1 / ours["total"]
        )
        w = np.ones(len(Y)) if weight is None else weight
        A = k * (X[:, on].T * w) @ X[:, on] + 2 * l2 * size * np.eye(on.sum())
        b = k * (X[:, on].T * w) @ Y - l1 * np.sign(theirs[on])
        np.testing.assert_allclose(np.linalg.solve(A, b), theirs[on], rtol=1e-10)


def test_weight_decay_of_sgd():
    """The penalty in the loss, and its decay in the optimizer: the same steps."""
    found = []
    for decays in (False, True):
        w = torch.ones(10, dtype=torch.float64, requires_grad=True)
        told = Ridge(0.03).to("sgd") if decays else {}
        optimizer = torch.optim.SGD([w], lr=1e-2, **told)
        for _ in range(300):
            optimizer.zero_grad()
            loss = l2torch.MSELoss()(torch.from_numpy(X) @ w, torch.from_numpy(Y))
            (loss if decays else loss + Ridge(0.03)(w)).backward()
            optimizer.step()
        found.append(w.detach().numpy())
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_of_a_module():
    linear = nn.Linear(3, 2)
    module = nn.Sequential(linear, nn.BatchNorm1d(2), nn.LSTM(2, 2), linear)
    recurrent = [x for name, x in module[2].named_parameters() if name.startswith("weight")]
    biases = [linear.bias, module[1].bias]
    biases += [x for name, x in module[2].named_parameters() if name.startswith("bias")]

    def by_hand(*arrays):
        return 0.3 * sum(float((x.detach() ** 2).sum()) for x in arrays)

    ridge, weights = Ridge(0.3), [linear.weight, *recurrent]
    assert l2torch.penalty(ridge, module).item() == pytest.approx(by_hand(*weights), rel=1e-6)
    found = l2torch.penalty(ridge, module, biases=True).item()
    assert found == pytest.approx(by_hand(*weights, *biases), rel=1e-6)
    found = l2torch.penalty(ridge, module, norms=True).item()
    assert found == pytest.approx(by_hand(*weights, module[1].weight), rel=1e-6)
    linear.weight.requires_grad_(False)
    assert l2torch.penalty(ridge, module).item() == pytest.approx(by_hand(*recurrent), rel=1e-6)
    with pytest.raises(ValueError, match="module: expected one with weights"):
        l2torch.penalty(ridge, nn.ReLU())


def test_of_a_pytree():
    w = jnp.array([1.0, 2.0])
    params = {"dense": {"kernel": w, "bias": 3 * w}, "norm": {"scale": 5 * w}, "step": 7}
    ridge = Ridge(0.5)
    value = jax.jit(lambda x: l2jax.penalty(ridge, x))({k: params[k] for k in ("dense", "norm")})
    assert value == 2.5
    assert l2jax.penalty(ridge, params) == 2.5
    assert l2jax.penalty(ridge, params, biases=True) == 25
    assert l2jax.penalty(ridge, params, norms=True) == 65
    assert l2jax.penalty(ridge, [w]) == 2.5
    with pytest.raises(ValueError, match="params: expected a pytree with weights"):
        l2jax.penalty(ridge, {"bias": w})
