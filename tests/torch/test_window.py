"""A mean over a window of micro-batches: that of one batch of all, however they were cut."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import l2torch
from l2core import Huber
from splits import row

rng = np.random.default_rng(3)
N = 14
X, Y = (torch.tensor(rng.normal(size=(N, k))) for k in (3, 2))
WEIGHT = torch.tensor(rng.integers(0, 4, N) / 2.0)
MASK = torch.tensor(rng.random((N, 2)) < 0.6)
GIVEN = {
    "nothing": {},
    "weight": {"weight": WEIGHT},
    "mask": {"mask": MASK},
    "both": {"weight": WEIGHT, "mask": MASK},
}
# 28 products, summed in another order, divided, times 2 matrix products: below 64 roundings.
ROUNDINGS = 64


def model(dtype=torch.float64):
    torch.manual_seed(1)
    return torch.nn.Linear(3, 2, dtype=dtype)


def gradients(net):
    return torch.cat([p.grad.ravel() for p in net.parameters()])


def whole(criterion, arguments):
    net = model()
    value = criterion(net(X), Y, **arguments)
    value.backward()
    return value.detach(), gradients(net)


@given(
    cuts=st.lists(st.integers(0, N), max_size=5),
    order=st.permutations(range(N)),
    name=st.sampled_from(sorted(GIVEN)),
    reduction=st.sampled_from(["mean", "root_mean"]),
    denominator=st.sampled_from(["weight", "count", "size", "batch"]),
    divided_by=st.sampled_from([1, 3, 4]),
)
def test_any_partition_in_any_order(cuts, order, name, reduction, denominator, divided_by):
    criterion = l2torch.Criterion(Huber(0.7), reduction, denominator)
    value, gradient = whole(criterion, GIVEN[name])
    net, window = model(), l2torch.Window(criterion, divided_by=divided_by)
    for a, b in pairwise([0, *sorted(cuts), N]):
        part = order[a:b]
        given_ = {key: x[part] for key, x in GIVEN[name].items()}
        (window.add(net(X[part]), Y[part], **given_) / divided_by).backward()
    found = window.finish(net.parameters())
    close = ROUNDINGS * 2.0**-53
    assert abs(found - value) <= close * value
    assert (gradients(net) - gradient).abs().max() <= close * gradient.abs().max()


def test_windows_follow_each_other(record_property):
    """The last, shorter one too; a window that is given up leaves nothing behind."""
    criterion = l2torch.Criterion(Huber(0.7))
    window = l2torch.Window(criterion)
    window.add(100 * X[:, :2], Y)
    window.reset()
    for rows in (slice(0, 6), slice(6, 12), slice(12, 14)):
        net, once = model(), model()
        for i in range(rows.start, rows.stop, 2):
            window.add(net(X[i : i + 2]), Y[i : i + 2], mask=MASK[i : i + 2]).backward()
        value = window.finish(net.parameters())
        wanted = criterion(once(X[rows]), Y[rows], mask=MASK[rows])
        wanted.backward()
        torch.testing.assert_close(value, wanted.detach(), rtol=1e-14, atol=0)
        torch.testing.assert_close(gradients(net), gradients(once), rtol=1e-13, atol=1e-15)
        alone, parts = model(), range(rows.start, rows.stop, 2)
        for i in parts:
            part = slice(i, i + 2)
            (criterion(alone(X[part]), Y[part], mask=MASK[part]) / len(parts)).backward()
        pair = (gradients(net), gradients(once)), (gradients(alone), gradients(once))
        told = (
            "PyTorch: a loop (l2torch.Window)",
            "1 to 3 micro-batches",
            (value, wanted.detach()),
        )
        record_property("splits", row(*told, *pair))


@pytest.mark.parametrize("empty", ["nan", "zero"])
def test_nothing(empty):
    net, window = model(), l2torch.Window(l2torch.Criterion(empty=empty))
    for rows in (slice(0, 5), slice(5, 5), slice(5, N)):
        nothing = torch.zeros_like(MASK[rows])
        window.add(net(X[rows]), torch.full_like(Y[rows], math.nan), mask=nothing).backward()
    value = window.finish(net.parameters())
    assert math.isnan(value) if empty == "nan" else value == 0
    assert (gradients(net) == 0).all()


def test_a_perfect_fit_has_gradient_0_under_the_root():
    window = l2torch.Window(l2torch.RMSELoss())
    x = torch.zeros(3, requires_grad=True)
    window.add(x, torch.zeros(3)).backward()
    assert window.finish([x]) == 0
    assert (x.grad == 0).all()


def test_grad_scaler_and_clipping():
    """Half gradients at a scale of 2^12: no overflow, and the clipped step is that of the whole."""
    criterion = l2torch.Criterion("huber")

    def stepped(parts, window):
        net = model(torch.float32)
        sgd = torch.optim.SGD(net.parameters(), 0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
        for rows in parts:
            with torch.autocast("cpu", torch.float16):
                pred = net(X[rows].float())
            call = window.add if window else criterion
            scaler.scale(call(pred, Y[rows].float(), weight=WEIGHT[rows].float())).backward()
        scaler.unscale_(sgd)
        if window:
            window.finish(net.parameters())
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 0.05)
        scaler.step(sgd)
        scaler.update()
        assert scaler.get_scale() == 2.0**12  # nothing was infinite
        return torch.cat([p.detach().ravel() for p in net.parameters()]), norm

    one = stepped([slice(0, N)], None)
    parts = [slice(0, 3), slice(3, 4), slice(4, N)]
    several = stepped(parts, l2torch.Window(criterion))
    # Three matrix products in float16, whose sums are rounded to 2^-11.
    torch.testing.assert_close(several[1], one[1], rtol=4 * 2.0**-11, atol=0)
    torch.testing.assert_close(several[0], one[0], rtol=0, atol=0.1 * 0.05 * 4 * 2.0**-11)


def test_denominators_ahead():
    """Of a loss that wants a parameter, and of drop-ins; on the device of the target."""
    wanted = (WEIGHT[:, None] * MASK).sum()
    for loss in (l2torch.GaussianNLLLoss(), l2torch.Criterion("gaussian_nll"), l2torch.RMSELoss()):
        found = loss.denominator_of(Y, weight=WEIGHT, mask=MASK)
        assert (found.shape, found.dtype, found.item()) == ((), torch.float64, wanted)
    assert l2torch.MSELoss().denominator_of(Y.to("meta")).device.type == "meta"


def test_parameters_that_are_named_twice_are_scaled_once():
    net, twin, window = model(), model(), l2torch.Window(l2torch.MSELoss())
    for i in range(5):
        window.add(net(X[i : i + 1]), Y[i : i + 1]).backward()
    window.finish([*net.parameters(), *net.parameters()])
    l2torch.MSELoss()(twin(X[:5]), Y[:5]).backward()
    torch.testing.assert_close(gradients(net), gradients(twin), rtol=1e-13, atol=1e-15)


def test_an_empty_micro_batch_may_come_first():
    """No gradient grows beyond what halves hold."""
    window, x = l2torch.Window(l2torch.MSELoss()), torch.ones(3, requires_grad=True)
    window.add(x[:0], torch.zeros(0)).backward()
    window.add(x, torch.zeros(3)).backward()
    assert x.grad.abs().max() < 100
    assert window.finish([x]) == 1
    torch.testing.assert_close(x.grad, torch.full((3,), 2 / 3))


def test_what_a_window_cannot_do():
    x, y = torch.ones(3), torch.zeros(3)
    with pytest.raises(ValueError, match=r"^criterion: expected a denominator that comes of"):
        l2torch.Window(l2torch.Criterion(denominator=8.0))
    for options in ({"reduction": "none"}, {"reduction": "sum"}, {"axis": 0}):
        with pytest.raises(ValueError, match=r"^criterion: expected a mean or root_mean over all"):
            l2torch.Window(l2torch.Criterion(**options))
    with pytest.raises(TypeError, match=r"^criterion: expected an l2torch.Criterion"):
        l2torch.Window(torch.nn.MSELoss())
    for divided_by in (0, -1, "2", True):
        with pytest.raises(ValueError, match=r"^divided_by: expected a number > 0"):
            l2torch.Window(l2torch.MSELoss(), divided_by=divided_by)
    window = l2torch.Window(l2torch.MSELoss())
    with pytest.raises(RuntimeError, match=r"^Window: expected at least one add"):
        window.finish([x])
    window.add(x.clone().requires_grad_(), y).backward()
    with pytest.raises(TypeError, match=r"^parameters: expected tensors, got dict"):
        window.finish(torch.optim.SGD([x.clone().requires_grad_()], 1.0).param_groups)
    with pytest.raises(ValueError, match=r"^parameters: expected at least one with a gradient"):
        window.finish(iter([]))
    with pytest.raises(ValueError, match=r"^denominator: expected None in a window"):
        window.add(x, y, denominator=3)
    with pytest.raises(ValueError, match=r"^weight: expected one without gradient"):
        window.add(x, y, weight=torch.ones(3, requires_grad=True))


def test_a_window_of_the_world_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    window = l2torch.Window(l2torch.Criterion(process_group="world"))
    x = torch.tensor([3.0], requires_grad=True)
    window.add(x, torch.zeros(1)).backward()
    assert window.finish([x]) == 9.0
    assert x.grad.item() == 6.0


def test_terms_of_large_tensors_take_one_pass(small_blocks):
    """Numerators by the fast path are those of the plain one, with its gradients."""
    from l2core import fastpath

    for options in ({"weight": WEIGHT}, {"mask": MASK}, {}):
        found = []
        for plain in (False, True):
            x = X[:, :2].clone().requires_grad_()
            if plain:
                with fastpath.plain_only():
                    terms = l2torch.Criterion(Huber(0.7)).terms(x, Y, **options)
            else:
                terms = l2torch.Criterion(Huber(0.7)).terms(x, Y, **options)
            terms.value().backward()
            found.append((terms.numerator.detach(), terms.denominator, x.grad))
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b, rtol=32 * 2.0**-53, atol=0)
