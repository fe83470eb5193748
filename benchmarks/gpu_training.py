"""What a training loop on a GPU does around a loss, each part against NumPy's float64 or an error.

CUDA graphs, mixed precision, a window of micro-batches, NCCL, streams, arguments on two devices.
``python -m benchmarks.gpu_training``; the exit status is 1 if a part does not hold.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

import numpy as np
import torch

import l2torch
from benchmarks.gpu import check, inputs, reference, waiting_forbidden

N = 100_000


def drawn(seed: int) -> tuple[tuple[np.ndarray, ...], list[torch.Tensor]]:
    """pred, target, weight and mask in NumPy and on the GPU."""
    arrays = inputs("weighted", N, seed)
    return arrays, [torch.from_numpy(x).cuda() for x in arrays]


def weighted(arrays: tuple[np.ndarray, ...], value: torch.Tensor, grad: torch.Tensor) -> None:
    """Raise unless these are a weighted mean and its gradient."""
    expected = reference("weighted", *arrays)
    check("weighted", arrays, expected, value.item(), grad.cpu().numpy())


def a_captured_graph() -> None:
    """Forward and backward, captured once and replayed on other data."""
    loss, (_, given) = l2torch.MSELoss(), drawn(0)
    p, t, w = (x.clone() for x in given[:3])
    p.requires_grad_()
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            p.grad = None
            loss(p, t, weight=w).backward()
    torch.cuda.current_stream().wait_stream(aside)
    graph, p.grad = torch.cuda.CUDAGraph(), None
    with torch.cuda.graph(graph):
        value = loss(p, t, weight=w)
        value.backward()
    for seed in (1, 2):
        arrays, given = drawn(seed)
        with torch.no_grad():
            for held, new in zip((p, t, w), given, strict=False):
                held.copy_(new)
        graph.replay()
        weighted(arrays, value, p.grad)


def reduced_overhead() -> None:
    """torch.compile with CUDA graphs."""
    loss = torch.compile(l2torch.MSELoss(), mode="reduce-overhead")
    for seed in range(4):
        arrays, (p, t, w, _) = drawn(seed)
        torch.compiler.cudagraph_mark_step_begin()
        p.requires_grad_()
        value = loss(p, t, weight=w)
        value.backward()
        weighted(arrays, value, p.grad)


def mixed_precision() -> None:
    """float16 predictions under autocast whose squares overflow, with a GradScaler."""
    torch.manual_seed(0)
    model = torch.nn.Linear(16, 4).cuda()
    optimizer, scaler = torch.optim.SGD(model.parameters(), lr=1e-3), torch.amp.GradScaler("cuda")
    x, target = torch.randn(64, 16).cuda(), 1000 * torch.randn(64, 4).cuda()
    with torch.no_grad(), torch.autocast("cuda", torch.float16):
        pred = model(x)
    expected = float(((pred.double() - target.double()) ** 2).mean())
    with torch.autocast("cuda", torch.float16), waiting_forbidden("cuda"):
        value = l2torch.MSELoss()(model(x), target)
    if value.dtype is not torch.float32 or not abs(value.item() - expected) <= 1e-5 * expected:
        raise ValueError(f"autocast: expected {expected!r} in float32, got {value!r}")
    for _ in range(12):  # the scale starts too high for float16 and is halved
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.float16):
            value = l2torch.MSELoss()(model(x), target)
        scaler.scale(value).backward()
        scaler.step(optimizer)
        scaler.update()
    if not value.item() < expected or not scaler.get_scale() >= 2**4:
        raise ValueError(
            f"GradScaler: expected steps that lower {expected!r} at a scale of 16 or more, got "
            f"{value.item()!r} at {scaler.get_scale()!r}"
        )


def a_window() -> None:
    """Three micro-batches of unequal size, nothing waited for."""
    arrays, (p, t, w, _) = drawn(0)
    window = l2torch.Window(l2torch.Criterion())
    p.requires_grad_()
    with waiting_forbidden("cuda"):
        for part in (slice(0, 1000), slice(1000, 60_001), slice(60_001, None)):
            window.add(p[part], t[part], weight=w[part]).backward()
        value = window.finish([p])
    weighted(arrays, value, p.grad)


def nccl() -> None:
    """A process group of one rank."""
    from torch import distributed

    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    with tempfile.TemporaryDirectory() as folder:
        store = distributed.FileStore(f"{folder}/store", 1)
        distributed.init_process_group("nccl", store=store, rank=0, world_size=1)
        try:
            for gradients in ("average", "sum"):
                loss = l2torch.Criterion(process_group="world", gradients=gradients)
                arrays, (p, t, w, _) = drawn(3)
                p.requires_grad_()
                value = loss(p, t, weight=w)
                value.backward()
                weighted(arrays, value, p.grad)
        finally:
            distributed.destroy_process_group()


def another_stream() -> None:
    """The call on a stream of its own, that of the inputs going on with other work."""
    arrays, given = drawn(4)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        p, t, w = (x.clone() for x in given[:3])
        p.requires_grad_()
        value = l2torch.MSELoss()(p, t, weight=w)
        value.backward()
    torch.cuda.current_stream().wait_stream(aside)
    weighted(arrays, value, p.grad)


def two_devices() -> None:
    """A target or weight that was left on the host is an error."""
    _, (p, t, w, m) = drawn(5)
    for others in ((t.cpu(), w, m), (t, w.cpu(), m), (t, w, m.cpu())):
        try:
            l2torch.MSELoss()(p, others[0], weight=others[1], mask=others[2])
        except (ValueError, RuntimeError) as error:
            print(f"   {type(error).__name__}: {error}"[:150])
        else:
            raise ValueError("expected an error where an argument is on another device")


PARTS: tuple[Callable[[], None], ...] = (
    a_captured_graph,
    reduced_overhead,
    mixed_precision,
    a_window,
    nccl,
    another_stream,
    two_devices,
)


def run() -> list[str]:
    """The names of the parts that hold; prints the others with their error."""
    held = []
    for part in PARTS:
        try:
            part()
        except (ValueError, RuntimeError, TypeError) as error:
            print(f"{part.__name__}: {type(error).__name__}: {error}")
        else:
            held.append(part.__name__)
            print(f"{part.__name__}: right")
    return held


if __name__ == "__main__":
    raise SystemExit(len(run()) < len(PARTS))
