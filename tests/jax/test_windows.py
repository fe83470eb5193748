"""Windows of micro-batches in JAX: a scan, optax.MultiSteps, and metrics of Flax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import l2jax
from l2core import ErrorStatistics, Huber, Terms

rng = np.random.default_rng(7)
K, B = 4, 5  # micro-batches and rows of each, of which masks leave few
X = rng.normal(size=(K, B, 3)).astype("f4")
Y = rng.normal(size=(K, B, 2)).astype("f4")
WEIGHT = (rng.integers(0, 3, (K, B)) / 2).astype("f4")
MASK = rng.random((K, B, 2)) < np.array([0.9, 0.2, 0.0, 0.6])[:, None, None]
BATCHES = {"x": X, "y": np.where(MASK, Y, np.nan), "weight": WEIGHT, "mask": MASK}
PARAMS = {"kernel": rng.normal(size=(3, 2)).astype("f4"), "bias": np.zeros(2, "f4")}
# Sums of 40 float32 terms, rounded by another order, and a division and a root: 64 roundings.
CLOSE = 64 * 2.0**-24


def parts(batch):
    return batch["y"], {"weight": batch["weight"], "mask": batch["mask"]}


def predicted(params, batch):
    return batch["x"] @ params["kernel"] + params["bias"]


def whole(criterion):
    flat = {name: jnp.asarray(x.reshape(-1, *x.shape[2:])) for name, x in BATCHES.items()}

    def loss(params):
        y, given = parts(flat)
        return criterion(predicted(params, flat), y, **given)

    return jax.value_and_grad(loss)(jax.tree.map(jnp.asarray, PARAMS))


def terms_of(criterion):
    def terms(params, batch):
        y, given = parts(batch)
        return criterion.terms(predicted(params, batch), y, **given)

    return terms


def assert_close(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=CLOSE * np.abs(b).max())


@pytest.mark.parametrize("reduction", ["mean", "root_mean"])
@pytest.mark.parametrize("denominator", ["weight", "count"])
@pytest.mark.parametrize("jit", [False, True])
def test_a_scan(reduction, denominator, jit, record_property):
    criterion = l2jax.Criterion(Huber(0.7), reduction, denominator)
    value, grads = whole(criterion)
    graded = l2jax.window(terms_of(criterion))
    found, gradient = (jax.jit(graded) if jit else graded)(PARAMS, BATCHES)
    assert abs(found - value) <= CLOSE * value
    assert_close(gradient, grads)
    record(record_property, "JAX: a scan (l2jax.window)", found, value, gradient, grads, criterion)


def record(record_property, engine, found, value, gradient, grads, criterion):
    from splits import row

    each = l2jax.Criterion(criterion.loss, denominator=criterion.denominator, empty="zero")

    def own(params, batch):
        y, given = parts(batch)
        return each(predicted(params, batch), y, **given)

    by_itself = jax.tree.map(jnp.zeros_like, grads)
    for i in range(K):  # the mean of the micro-batches' means, those of nothing left out
        more = jax.grad(own)(PARAMS, {name: jnp.asarray(x[i]) for name, x in BATCHES.items()})
        by_itself = jax.tree.map(lambda a, b: a + b / K, by_itself, more)
    alone = jax.tree.leaves(by_itself) if criterion.reduction == "mean" else None
    pair = (jax.tree.leaves(gradient), jax.tree.leaves(grads))
    values = None if found is None else (found, value)
    told = row(engine, f"{K} micro-batches", values, pair, alone and (alone, pair[1]))
    record_property("splits", told)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_parameters(dtype):
    """Sums over a window are beyond halves: gradients add up in float32."""
    terms = l2jax.window(lambda p, b: l2jax.Criterion().terms(p * b, jnp.zeros(3)))
    value, grad = jax.jit(terms)(jnp.asarray(1, dtype), jnp.ones((1000, 3), dtype))
    assert (value, grad, grad.dtype) == (1, 2, dtype)
    large = l2jax.window(lambda p, b: l2jax.Criterion().terms(p * b, jnp.zeros(60_000)))
    assert large(jnp.asarray(1, dtype), jnp.ones((20, 60_000), dtype))[1] == 2
    steps = l2jax.multi_steps(optax.sgd(1.0), 2)
    params = jnp.asarray(1, dtype)
    state, found = steps.init(params), Terms(jnp.float32(2e7), jnp.float32(2e7))
    for _ in range(2):
        updates, state = steps.update(jnp.asarray(30_000, dtype), state, params, terms=found)
    np.testing.assert_allclose(updates, -60_000 / 4e7, rtol=2**-8)


def test_nothing_in_a_window():
    batches = {**BATCHES, "mask": np.zeros_like(MASK)}
    for empty, wanted in (("nan", np.nan), ("zero", 0.0)):
        terms = terms_of(l2jax.Criterion(empty=empty))
        value, grads = jax.jit(l2jax.window(terms))(PARAMS, batches)
        np.testing.assert_equal(np.asarray(value), np.float32(wanted))
        assert all((g == 0).all() for g in jax.tree.leaves(grads))


def test_weights_that_depend_on_the_parameters_are_refused():
    def terms(params, batch):
        weight = batch["weight"] * jnp.exp(params["bias"][0])
        return l2jax.Criterion().terms(predicted(params, batch), batch["x"][..., :2], weight=weight)

    with pytest.raises(ValueError, match=r"^weight: expected one that does not depend on params"):
        l2jax.window(terms)(PARAMS, BATCHES)


@pytest.mark.parametrize("reduction", ["mean", "root_mean"])
def test_optax_multi_steps(reduction, record_property):
    """Two windows of four and a third that has not ended: the steps are those of the whole."""
    criterion = l2jax.Criterion(Huber(0.7), reduction)
    terms = terms_of(criterion)
    optimizer = l2jax.multi_steps(optax.sgd(1.0, momentum=0.9), K)

    @jax.jit
    def step(params, state, batch):
        def numerator(p):
            found = terms(p, batch)
            return found.numerator, found

        grads, found = jax.grad(numerator, has_aux=True)(params)
        updates, state = optimizer.update(grads, state, params, terms=found)
        return optax.apply_updates(params, updates), state, updates

    params = jax.tree.map(jnp.asarray, PARAMS)
    state = optimizer.init(params)
    value, grads = whole(criterion)
    for i in range(K):
        params, state, updates = step(params, state, {k: x[i] for k, x in BATCHES.items()})
        if i < K - 1:
            assert all((u == 0).all() for u in jax.tree.leaves(updates))
    moved = jax.tree.map(lambda a, b: a - b, PARAMS, params)
    # The step itself is rounded to the parameters' last place.
    for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(grads), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=CLOSE * np.abs(b).max() + 2.0**-22)
    assert all((x == 0).all() for x in state.total)  # the next window begins
    minus = jax.tree.map(lambda u: -u, updates)
    record(record_property, "JAX: optax.MultiSteps", None, value, minus, grads, criterion)
    params, state, _ = step(params, state, {k: x[0] for k, x in BATCHES.items()})
    assert state.total[1] == (WEIGHT[0][:, None] * MASK[0]).sum()


def test_denominators_ahead():
    """Of a loss that wants a parameter, with NumPy arrays, and traced."""
    criterion = l2jax.Criterion("gaussian_nll")
    given = {"weight": WEIGHT[0], "mask": MASK[0]}
    wanted = (WEIGHT[0][:, None] * MASK[0]).sum()
    for ahead in (criterion.denominator_of, jax.jit(criterion.denominator_of)):
        found = ahead(Y[0], **given)
        assert isinstance(found, jax.Array)
        assert found.shape == ()
        assert found == wanted


def test_what_multi_steps_refuses():
    with pytest.raises(TypeError, match=r"^use_grad_mean: expected none"):
        l2jax.multi_steps(optax.sgd(1.0), 2, use_grad_mean=True)
    optimizer = l2jax.multi_steps(optax.sgd(1.0), 2)
    params = {"a": jnp.ones(2)}
    with pytest.raises(TypeError, match=r"^terms: expected Terms without axes"):
        optimizer.update(params, optimizer.init(params), params, terms=jnp.ones(()))
    terms = Terms(jnp.ones(2), jnp.ones(2))
    with pytest.raises(TypeError, match=r"^terms: expected Terms without axes"):
        optimizer.update(params, optimizer.init(params), params, terms=terms)


def test_axis_name_outside_of_a_map():
    criterion = l2jax.Criterion(axis_name="i")
    x = jnp.ones((3, 2))
    with pytest.raises(NameError, match="i"):
        criterion(x, x)
    with pytest.raises(ValueError, match=r"^axis_name: expected None for the closed form"):
        criterion.value_and_grad(x, x)
    for wrong in (3, (), ("i", 2)):
        with pytest.raises(TypeError, match=r"^axis_name: expected a name"):
            l2jax.Criterion(axis_name=wrong)
    assert criterion != l2jax.Criterion()
    assert hash(criterion) == hash(l2jax.Criterion(axis_name="i"))
    with pytest.raises(TypeError, match=r"^state: expected Terms"):
        l2jax.all_reduced(x, "i")


@pytest.mark.parametrize("figure", ["r2", "bias", "quantile"])
def test_metrics_of_flax(figure):
    metric = l2jax.ErrorMetric(figure, num_outputs=2, q=0.9 if figure == "quantile" else None)
    loss = l2jax.CriterionMetric(l2jax.Criterion("huber"))
    both = nnx.MultiMetric(figure=metric, loss=loss)

    @nnx.jit
    def update(metrics, pred, target, weight, mask):
        metrics.update(pred=pred, target=target, weight=weight, mask=mask, step=3)

    pred = Y + rng.normal(size=Y.shape).astype("f4")
    for i in range(K):
        update(both, pred[i], Y[i], WEIGHT[i], MASK[i])
    found = both.compute()
    flat = [x.reshape(-1, *x.shape[2:]) for x in (pred, Y, WEIGHT, MASK)]
    state = ErrorStatistics.of(*flat[:2], weight=flat[2], mask=flat[3], axis=0)
    wanted = state.quantile(0.9) if figure == "quantile" else getattr(state, figure)
    np.testing.assert_allclose(found["figure"], wanted, rtol=256 * 2.0**-24, atol=CLOSE)
    value = l2jax.Criterion("huber")(*flat[:2], weight=flat[2], mask=flat[3])
    np.testing.assert_allclose(found["loss"], value, rtol=CLOSE)
    both.reset()
    assert np.isnan(both.compute()["loss"])


@pytest.mark.parametrize(
    "make", [lambda: l2jax.CriterionMetric(l2jax.Criterion()), lambda: l2jax.ErrorMetric("r2")]
)
def test_misspelt_arrays_are_not_ignored(make):
    """Though arrays of other metrics are."""
    for wrong in ({"weights": WEIGHT[0]}, {"masks": MASK[0]}, {"preds": Y[0]}):
        with pytest.raises(TypeError, match=rf"^{next(iter(wrong))}: expected "):
            make().update(pred=Y[0], target=Y[0], **wrong)
    make().update(pred=Y[0], target=2 * Y[0], weight=WEIGHT[0])  # NumPy's arrays, outside of jit
    make().update(pred=Y[0], target=Y[0], loss=1.0, logits=Y[0], labels=Y[0], values=1.0, step=2)
    with pytest.raises(TypeError, match=r"^target: expected an array by this name, got pred"):
        make().update(pred=Y[0])


def test_what_metrics_refuse():
    with pytest.raises(ValueError, match=r"^figure: expected one of"):
        l2jax.ErrorMetric("mape")
    with pytest.raises(TypeError, match=r"^criterion: expected an l2jax.Criterion"):
        l2jax.CriterionMetric(optax.l2_loss)
    with pytest.raises(ValueError, match=r"^criterion: expected a mean"):
        l2jax.CriterionMetric(l2jax.Criterion(axis=0))
    with pytest.raises(AttributeError, match="Nothing"):
        _ = l2jax.Nothing
    assert "ErrorMetric" in dir(l2jax)
