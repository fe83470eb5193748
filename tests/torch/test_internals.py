"""Private names of PyTorch: where all have moved, the same numbers come another way."""

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from l2torch import internals

FOLDER = Path(find_spec("l2torch").submodule_search_locations[0])

NAMES = (
    *("_are_functorch_transforms_active", "_is_tracing", "is_exporting"),
    *("_len_torch_dispatch_stack", "is_legacy_batchedtensor", "_set_fwd_grad_enabled"),
    *("register_pytree_node", "unwrap_dead_wrappers", "_current_level"),
    *("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"),
)
WITHOUT = """
import sys, warnings
from importlib.util import find_spec, module_from_spec, spec_from_file_location
folder = find_spec("l2torch").submodule_search_locations[0]
spec = spec_from_file_location("l2torch.internals", folder + "/internals.py")
module = sys.modules["l2torch.internals"] = module_from_spec(spec)
lost = sys.argv[1:]
module.hasattr = lambda x, name: hasattr(x, name) and bool(lost) and name not in lost
spec.loader.exec_module(module)
import numpy as np, torch
from torch.func import grad, hessian, jacfwd, jvp, vmap
import l2core, l2torch
assert len(module.MISSING) == (1 if lost else 13), module.MISSING
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
for kind in l2core.LOSSES.values():
    if kind.needs:
        continue
    f, core = l2torch.Criterion(kind()), l2core.Criterion(kind())
    for n in (7, 40_000, 600_000):
        p, t, w = torch.randn(n, requires_grad=True), torch.randn(n), torch.rand(n)
        w[0] = 0.0
        for more in ({}, {"weight": w}, {"mask": w > 0.5}):
            value = f(p, t, **more)
            arrays = {k: x.numpy() for k, x in more.items()}
            expected, slope = core.value_and_grad(p.detach().numpy(), t.numpy(), **arrays)
            np.testing.assert_allclose(value.detach(), expected, rtol=1e-12)
            found = torch.autograd.grad(value, p, create_graph=n == 7)[0]
            np.testing.assert_allclose(found.detach(), slope, rtol=1e-12, atol=1e-18)
    p, t = torch.randn(5), torch.randn(5)
    bend = np.asarray(kind().curvature((p - t).numpy(), np)) / 5
    for second in (hessian(f)(p, t), jacfwd(jacfwd(f))(p, t), jacfwd(grad(f))(p, t)):
        np.testing.assert_allclose(second.diagonal(), bend, rtol=1e-12, atol=1e-18)
    slope = grad(f)(p, t)
    torch.testing.assert_close(jvp(lambda p: f(p, t), (p,), (torch.ones(5),))[1], slope.sum())
    torch.testing.assert_close(vmap(grad(f))(p[None], t[None])[0], slope)
    weight = torch.tensor([1.0, 0.0, 2.0, 1.0, 1.0], requires_grad=True)
    value = f(p, t, weight=weight)
    rho = np.asarray(kind().rho((p - t).numpy(), np))
    by_weight = (rho - value.item()) / 5
    np.testing.assert_allclose(torch.autograd.grad(value, weight)[0], by_weight, atol=1e-14)
"""


def without(*names):
    command = [sys.executable, "-c", WITHOUT, *names]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_without_any_of_them():
    without()


@pytest.mark.scripts
@pytest.mark.since("2.10")
@pytest.mark.parametrize("name", NAMES)
def test_without_one_of_them(name):
    without(name)


@pytest.mark.since("2.10")
def test_this_pytorch_has_them_all():
    assert internals.MISSING == []


def test_a_missing_name_is_noted():
    assert internals.found("_C._no_such_name", "instead") == "instead"
    assert internals.MISSING.pop() == "_C._no_such_name"


LOSSES = {"mse_loss": (), "l1_loss": (), "huber_loss": ("delta",), "smooth_l1_loss": ("beta",)}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", range(3))
def test_the_public_function_stands_in_for_a_loss(name, reduction):
    pair, values = torch.rand(2, 3), [0.25 for _ in LOSSES[name]]
    expected = getattr(internals, name)(*pair, reduction, *values)
    assert torch.equal(internals._public(name, *LOSSES[name])(*pair, reduction, *values), expected)


def test_a_node_that_keeps_nothing_says_so():
    assert internals.saved_pair(object()) is None
    assert internals.saved_residual(object()) is None


def test_they_stand_in_one_room():
    """Elsewhere no attribute of torch begins with an underscore."""
    for path in FOLDER.glob("*.py"):
        if path.name == "internals.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            private = text.startswith(("torch.", "forward_ad.")) and "._" in text
            assert not private, f"{path.name}: {text}"
