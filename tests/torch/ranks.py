"""Run under torchrun by test_ranks.py: the mean over ranks, micro-batches and engines is that of all.

Prints what was found as lines of JSON. Everything in float64.
"""

import copy
import os
import sys
import warnings
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DeviceMesh, Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

import l2torch
from l2core import ErrorStatistics, Huber
from l2torch import internals
from splits import Rows

warnings.filterwarnings("ignore", module="torch")
os.environ["GLOO_SOCKET_IFNAME"] = "lo"
torch.set_num_threads(1)
dist.init_process_group("gloo")
RANK, WORLD = dist.get_rank(), dist.get_world_size()
rng = np.random.default_rng(0)
N = 17
X, Y = (torch.tensor(rng.normal(size=(N, k))) for k in (3, 2))
WEIGHT = torch.tensor(rng.integers(0, 4, N) / 2.0)
MASK = torch.tensor(rng.random((N, 2)) < 0.6)
MASK[9:] = False  # the last rank of three has nothing that counts
# A value is a sum of 34 products, divided (and rooted), in another order; a gradient four matrix
# products more, of numbers near 1: below 64 roundings.
CLOSE = 64 * 2.0**-53
rows = Rows()


def model():
    torch.manual_seed(1)
    return torch.nn.Linear(3, 2).double()


def gradients(net):
    grads = [p.grad for p in net.parameters()]
    return [(g.full_tensor() if hasattr(g, "full_tensor") else g).numpy() for g in grads]


def arguments(kind, part):
    given = {"weight": {"weight": WEIGHT}, "mask": {"mask": MASK}}.get(kind, {})
    if kind == "both":
        given = {"weight": WEIGHT, "mask": MASK}
    return {name: x[part] for name, x in given.items()}


def whole(criterion, kind):
    net = model()
    value = criterion(net(X), Y, **arguments(kind, slice(None)))
    value.backward()
    return value.detach().numpy(), gradients(net)


def share(rank, size, steps):
    """The micro-batches of a rank: of unequal lengths, and in a group of three the second has none."""
    ends = {1: [0, N], 2: [0, 3, N], 3: [0, 9, 9, N]}[size]
    first, last = ends[rank], ends[rank + 1]
    edges = [
        *(min(first + i, last) for i in range(steps)),
        last,
    ]  # of one row, the last of the rest
    return [slice(a, b) for a, b in pairwise(edges)]


def ddp(net, group):
    return DistributedDataParallel(net, process_group=group)


def fsdp(net, group):
    return fully_shard(net, mesh=DeviceMesh.from_group(group, "cpu"))


def alone(net, group):
    return net


ENGINES = {"DistributedDataParallel": ddp, "FSDP2": fsdp, "gradients summed by hand": alone}
OLD = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 10)
if OLD:  # whose FSDP2 wants streams that a CPU does not have
    del ENGINES["FSDP2"]


def step(engine, group, criterion, kind, steps, how):
    """The value and gradients of this rank after one window."""
    size, rank = dist.get_world_size(group), dist.get_rank(group)
    net = ENGINES[engine](model(), group)
    parts = share(rank, size, steps)
    window = l2torch.Window(criterion) if how == "window" else None
    told = None
    if how == "ahead":
        told = sum(criterion.denominator_of(Y[p], **arguments(kind, p)) for p in parts)
        dist.all_reduce(told, group=group)
    value = 0.0
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        sync = nullcontext()
        if engine == "DistributedDataParallel" and not last:
            sync = net.no_sync()
        elif engine == "FSDP2":
            net.set_requires_gradient_sync(last)
        with sync:
            given = arguments(kind, part)
            if window is not None:
                window.add(net(X[part]), Y[part], **given).backward()
                continue
            loss = criterion(net(X[part]), Y[part], denominator=told, **given)
            loss.backward()
            value += loss.detach()
    if engine == "gradients summed by hand":
        for p in net.parameters():
            dist.all_reduce(p.grad, group=group)
    if window is not None:
        value = window.finish(net.parameters())
    return value.numpy(), gradients(net)


def naive(engine, group, kind, steps):
    """What the engine does by itself: the mean of the micro-batches' and ranks' means."""
    size, rank = dist.get_world_size(group), dist.get_rank(group)
    net = ENGINES[engine](model(), group)
    criterion = l2torch.Criterion(Huber(0.7), empty="zero")
    for part in share(rank, size, steps):
        loss = criterion(net(X[part]), Y[part], **arguments(kind, part))
        (loss / steps).backward()
    if engine == "gradients summed by hand":
        for p in net.parameters():
            dist.all_reduce(p.grad, group=group)
            p.grad /= size
    return gradients(net)


def grid():
    groups = {size: dist.new_group(list(range(size))) for size in range(1, WORLD + 1)}
    for size, group in groups.items():
        if size <= RANK:
            continue
        for engine in ENGINES:
            summed = {"gradients": "sum"} if engine == "gradients summed by hand" else {}
            for steps, kind in ((1, "weight"), (1, "both"), (3, "both"), (4, "none")):
                for reduction in ("mean", "root_mean"):
                    criterion = l2torch.Criterion(
                        Huber(0.7), reduction, process_group=group, **summed
                    )
                    hows = ["window"]
                    if steps == 1:
                        hows.append("plain")
                    elif reduction == "mean":
                        hows.append("ahead")
                    value, gradient = whole(l2torch.Criterion(Huber(0.7), reduction), kind)
                    own = None
                    if reduction == "mean":
                        own = naive(engine, group, kind, steps)
                    for how in hows:
                        v, g = step(engine, group, criterion, kind, steps, how)
                        alone = None if own is None else (own, gradient)
                        splits = "1 to 3 ranks × 1 to 4 micro-batches"
                        found = rows.add(
                            f"PyTorch: {engine}", splits, (v, value), (g, gradient), alone
                        )
                        where = engine, size, steps, kind, reduction, how
                        assert abs(v - value) <= CLOSE * abs(value), where
                        assert found[1] <= CLOSE, (where, found)


def other_denominators():
    """Each denominator, a sum, axis 0 and nothing at all are those of all ranks."""
    part = share(RANK, WORLD, 1)[0]
    for options in (
        {"denominator": "count"},
        {"denominator": "size"},
        {"denominator": "batch"},
        {"denominator": 2.5},
        {"reduction": "sum"},
        {"axis": 0},
        {"axis": (0, 1), "reduction": "root_mean"},
        {"axis": -2, "reduction": "sum"},
    ):
        criterion = l2torch.Criterion(Huber(0.7), **options)
        value, gradient = [], []
        for c, p in (
            (criterion, slice(None)),
            (l2torch.Criterion(Huber(0.7), **options, process_group="world"), part),
        ):
            net = model() if p == slice(None) else DistributedDataParallel(model())
            v = c(net(X[p]), Y[p], **arguments("both", p))
            v.sum().backward()
            value.append(v.detach().numpy())
            gradient.append(gradients(net))
        np.testing.assert_allclose(value[1], value[0], rtol=CLOSE)
        for a, b in zip(*gradient, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=CLOSE * abs(b).max())
    nothing = torch.zeros(N, dtype=torch.bool)
    for empty, wanted in (("nan", np.nan), ("zero", 0.0)):
        c = l2torch.Criterion(empty=empty, process_group="world")
        net = DistributedDataParallel(model())
        value = c(net(X[part]), Y[part], mask=nothing[part])
        value.backward()
        np.testing.assert_equal(value.item(), wanted)
        assert all((g == 0).all() for g in gradients(net))


def refuses(call, text):
    try:
        call()
    except (TypeError, ValueError, RuntimeError) as found:
        assert text in str(found), found  # noqa: PT017 (this runs without pytest)
    else:
        raise AssertionError(f"expected {text}")


def refused():
    """What would be another number says so on every rank."""
    criterion = l2torch.Criterion(process_group="world")
    x = torch.ones(4, 2, requires_grad=True)
    for change, error in (
        ({"reduction": "none"}, "reduction: expected one that reduces"),
        ({"axis": 1}, "axis: expected 0"),
    ):
        c = copy.deepcopy(criterion)
        for name, to in change.items():
            setattr(c, name, to)
        refuses(lambda c=c: c(x, torch.zeros(4, 2)), error)
    pair = torch.ones(2), torch.ones(2)
    refuses(lambda: torch.jit.trace(criterion, pair), "under torch.jit.trace")
    # A second derivative of a mean needs no other rank; that of its root does.
    (g,) = torch.autograd.grad(criterion(x, torch.zeros(4, 2)), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    np.testing.assert_allclose(h.numpy(), 2 / 8, rtol=1e-6)  # WORLD × 2 / (WORLD × 8)
    root = l2torch.Criterion(reduction="root_mean", process_group="world")(x, torch.zeros(4, 2))
    refuses(lambda: torch.autograd.grad(root, x, create_graph=True), "create_graph: ")


def learned_weights():
    """Weights and predictions that depend on each other, with a hook: as in one process."""

    def graded(criterion, part, ranks):
        net = model()
        module = DistributedDataParallel(net) if ranks else net
        pred = module(X[part])
        pred.register_hook(lambda g: 2 * g)
        weight = torch.sigmoid(pred[:, 0])
        value = criterion(torch.tanh(pred), Y[part], weight=weight, mask=MASK[part])
        value.backward()
        return value.detach().numpy(), gradients(net)

    for reduction in ("mean", "root_mean"):
        value, gradient = graded(l2torch.Criterion(Huber(0.7), reduction), slice(None), False)
        over = l2torch.Criterion(Huber(0.7), reduction, process_group="world")
        v, g = graded(over, share(RANK, WORLD, 1)[0], True)
        np.testing.assert_allclose(v, value, rtol=CLOSE)
        for a, b in zip(g, gradient, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=CLOSE * abs(b).max())


def silent_backward():
    """Only forward sends: one all-reduce, whatever comes with the call."""
    part, sent = share(RANK, WORLD, 1)[0], []
    public = dist.all_reduce

    def counted(*args, **named):
        sent.append(args)
        return public(*args, **named)

    dist.all_reduce = counted
    try:
        for reduction in ("mean", "root_mean", "sum"):
            sent.clear()
            criterion = l2torch.Criterion(Huber(0.7), reduction, process_group="world")
            loss = criterion(model()(X[part]), Y[part], **arguments("both", part))
            assert len(sent) == 1
            loss.backward()
            assert len(sent) == 1
    finally:
        dist.all_reduce = public


def compiled():
    part = share(RANK, WORLD, 1)[0]
    value, gradient = whole(l2torch.Criterion(Huber(0.7), "root_mean"), "both")
    criterion = l2torch.Criterion(Huber(0.7), "root_mean", process_group="world")
    if "public" in sys.argv:  # without the private name
        internals.all_reduce_node = None
    call = torch.compile(criterion, backend="aot_eager", fullgraph="public" not in sys.argv)
    net = DistributedDataParallel(model())
    v = call(net(X[part]), Y[part], **arguments("both", part))
    v.backward()
    found = rows.add(
        "PyTorch: torch.compile, DDP",
        f"{WORLD} ranks",
        (v.detach(), value),
        (gradients(net), gradient),
    )
    assert found[1] <= CLOSE, found


def statistics():
    """all_reduced: the same state on every rank, in the bits of the ranks' order."""
    part = share(RANK, WORLD, 1)[0]
    p, given = X[:, :2], arguments("both", slice(None))
    mine = {name: x[part] for name, x in given.items()}
    found = l2torch.all_reduced(ErrorStatistics.of(p[part], Y[part], axis=0, **mine))
    all_of = ErrorStatistics.of(p, Y, axis=0, **given)
    for name in ("mse", "r2", "bias", "mae", "max_error"):
        a, b = getattr(found, name), getattr(all_of, name)
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(found.quantile(0.3), all_of.quantile(0.3), rtol=0, atol=0)
    texts = [None] * WORLD
    dist.all_gather_object(texts, found.to_json())
    assert len(set(texts)) == 1
    # A mask on one rank alone: sketches of integers and of floats.
    own = {"weight": WEIGHT[part] + 1} if RANK == 0 else {}
    mixed = l2torch.all_reduced(ErrorStatistics.of(p[part], Y[part], **own))
    weight = torch.where(torch.arange(N) < share(0, WORLD, 1)[0].stop, WEIGHT + 1, 1.0)
    torch.testing.assert_close(
        mixed.quantile(0.4), ErrorStatistics.of(p, Y, weight=weight).quantile(0.4), rtol=0, atol=0
    )
    criterion = l2torch.Criterion(Huber(0.7))
    terms = l2torch.all_reduced(criterion.terms(p[part], Y[part], **mine))
    torch.testing.assert_close(terms.value(), criterion(p, Y, **given), rtol=CLOSE, atol=0)


def metrics():
    """Synced over ranks: the figures of all, and what each rank has is left as it was."""
    part = share(RANK, WORLD, 1)[0]
    p, given = X[:, :2], arguments("both", slice(None))
    mine = {name: x[part] for name, x in given.items()}
    whole_of = ErrorStatistics.of(p, Y, **given)
    for metric, wanted in (
        (l2torch.CriterionMetric(l2torch.MSELoss()), whole_of.mse),
        (l2torch.ErrorMetric("r2"), whole_of.r2),
        (l2torch.ErrorMetric("quantile", q=0.3), whole_of.quantile(0.3)),
    ):
        metric.update(p[part], Y[part], **mine)
        for _ in range(2):
            torch.testing.assert_close(metric.compute(), wanted, rtol=1e-13, atol=1e-13)
            metric.update(p[:0], Y[:0])


def uneven_dtensors():
    """A DTensor with uneven shards: the mean of all, where nn.MSELoss has the mean of the ranks'."""
    pair = dist.new_group([0, 1])
    if RANK >= 2:
        return
    mesh = DeviceMesh.from_group(pair, "cpu")
    pred = torch.tensor([1.0, 1.0, 5.0])  # two rows on the first rank, one on the second
    x = distribute_tensor(pred, mesh, [Shard(0)])
    zero = distribute_tensor(torch.zeros(3), mesh, [Shard(0)])
    ours = l2torch.MSELoss()(x, zero).full_tensor().item()
    # PyTorch 2.6 has no mse_loss of DTensors at all.
    theirs = 13.0 if OLD else torch.nn.MSELoss()(x, zero).full_tensor().item()
    assert abs(ours - 9) < 9 * 2**-22, ours
    rows.add(
        "PyTorch: DTensor",
        "2 uneven shards (gradient column: the value)",
        (ours, np.float32(9)),
        (np.array(ours), np.array(9.0)),
        (np.array(theirs), np.array(9.0)),
    )


def checkpoints():
    """ "world" is saved by its name, and so is the default group; another is refused."""
    for group in ("world", dist.group.WORLD):
        module = l2torch.Criterion(process_group=group)
        path = f"{os.environ['FOLDER']}/{RANK}.pt"
        torch.save(module, path)
        again = torch.load(path, weights_only=True)
        assert again.process_group == "world"
        assert copy.deepcopy(module).process_group is module.process_group
        assert "process_group" in repr(module)
    pair = dist.new_group([0, 1])
    if RANK < 2:
        refuses(lambda: torch.save(l2torch.Criterion(process_group=pair), path), "process_group: ")


for check in sys.argv[1:]:
    if check == "public":
        continue
    globals()[check]()
if RANK == 0:
    print("\n".join(rows.told()), flush=True)
dist.barrier()
dist.destroy_process_group()
# Past what threads of PyTorch do at the end of Python, which may abort.
sys.stdout.flush()
os._exit(0)
