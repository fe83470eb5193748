"""Inputs for the fused paths: what they serve, on arrays that take several blocks."""

import sys
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np

SHAPES = ((40, 31), (3, 500), (1201,))
"""Rows shorter than a block, longer than one, and none: for blocks of 256 elements."""
ARGUMENTS = ("nothing", "weight", "row weight", "zero weights", "mask", "row mask")
MEANS = [
    {"reduction": "sum"},
    {"denominator": "weight"},
    {"denominator": "count"},
    {"denominator": "batch"},
    {"denominator": 3.7},
    {"reduction": "root_mean"},
]


def inputs(kind, shape, dtype):
    """pred, target and the arguments of this kind; absent elements hold NaN and inf."""
    rng = np.random.default_rng(7)
    pred, target = rng.standard_normal((2, *shape)).astype(dtype)
    rows = kind.startswith("row")
    present = np.arange(np.prod(shape[:1] if rows else shape)).reshape(-1) % 5 != 1
    present = present.reshape(shape[:1] if rows else shape)
    weight = rng.uniform(0.1, 2, present.shape).astype(dtype)
    if kind == "nothing":
        return pred, target, {}
    if kind == "weight":
        return pred, target, {"weight": weight}
    pred[~present], target[~present] = np.nan, np.inf
    if "mask" in kind:
        return pred, target, {"mask": present}
    return pred, target, {"weight": np.where(present, weight, weight.dtype.type(0))}


def one_large_among_small(n):
    """Squares that a sum in one sequence loses: 4 added to 2^26 in float32 leaves it."""
    pred = np.full(n, 2, np.float32)
    pred[0] = 2**13
    return pred, np.zeros(n, np.float32), 2**26 + 4.0 * (n - 1)


@contextmanager
def no_plain_path():
    """Within it the plain path fails."""
    with mock.patch("l2core.criterion.prepared", side_effect=AssertionError("the plain path")):
        yield


@contextmanager
def every_size_is_large(block=256):
    """Within it the fast paths that are for large arrays take small ones, by blocks and threads."""
    row = block // 8
    sizes = {"l2core.onepass": {"BLOCK": block, "EACH": 1}}
    sizes["l2core.sums"] = {"ROW": row, "LANES": row}
    sizes["l2core.memory"] = {"LEAST": 1}
    sizes["l2core.fused"] = {"SMALL": 0}
    sizes["l2torch.fused"] = {"SMALL": 0, "LARGE": 1, "FEW": 0}
    sizes["l2torch.native"] = {"LARGE": 1, "FEW": 0}
    with ExitStack() as stack:
        for name in sizes.keys() & sys.modules.keys():
            stack.enter_context(mock.patch.multiple(name, **sizes[name]))
        if "torch" in sys.modules:
            stack.enter_context(mock.patch("torch.get_num_threads", return_value=3))
        yield
