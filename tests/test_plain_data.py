"""A loss is plain data: its name, or a mapping of its name and fields, on every face."""

import json
from collections import OrderedDict
from dataclasses import asdict, dataclass
from types import MappingProxyType

import pytest

import l2core
import l2jax
import l2torch
from l2core import LOSSES, Criterion, Huber, Loss, SquaredError
from l2core.config import snake_case
from subjects import EVERY_LOSS, FAMILIES

FACES = [l2core.Criterion, l2jax.Criterion, l2torch.Criterion]
on_every_face = pytest.mark.parametrize("face", FACES, ids=lambda face: face.__module__)
NAMES = {
    "SquaredError": "squared_error",
    "HalfSquaredError": "half_squared_error",
    "AbsoluteError": "absolute_error",
    "Huber": "huber",
    "SmoothL1": "smooth_l1",
    "LogCosh": "log_cosh",
    "Quantile": "quantile",
    "Expectile": "expectile",
    "GaussianNLL": "gaussian_nll",
    "LaplaceNLL": "laplace_nll",
    "StudentTNLL": "student_tnll",
    "Cauchy": "cauchy",
    "Tukey": "tukey",
    "Barron": "barron",
    "BarronNLL": "barron_nll",
}


def test_names():
    assert {name: snake_case(name) for name in NAMES} == NAMES
    assert set(NAMES) <= set(LOSSES)


@on_every_face
@pytest.mark.parametrize("loss", [*EVERY_LOSS, *FAMILIES], ids=repr)
def test_three_ways_to_say_one_loss(face, loss):
    kind = type(loss)
    for name in (kind.__name__, snake_case(kind.__name__)):
        assert face({"name": name, **asdict(loss)}).loss == loss
        assert face(MappingProxyType({"name": name, **asdict(loss)})).loss == loss
        assert face(name).loss == kind()
    assert face(loss, "sum").to_config() == Criterion(loss, "sum").to_config()


@on_every_face
def test_lists_serve_as_axes(face):
    assert face(axis=[0, -1]).axis == (0, -1)
    assert face(axis=(0,)).to_config()["axis"] == [0]
    with pytest.raises(TypeError, match="axis: expected None, an int or a sequence of ints, got"):
        face(axis="01")
    with pytest.raises(TypeError, match="axis: expected None, an int or a sequence of ints, got"):
        face(axis=[0.5])


@on_every_face
def test_a_config_says_what_differs(face):
    default = face.from_config({})
    assert default.to_config() == Criterion().to_config()
    config = OrderedDict(loss="huber", axis=[1], empty="zero")
    found = face.from_config(config)
    assert found.to_config() == Criterion(Huber(), axis=(1,), empty="zero").to_config()
    again = face.from_config(json.loads(json.dumps(found.to_config())))
    assert again.to_config() == found.to_config()
    assert type(again) is face
    for wrong in ({"los": "huber"}, {"loss": "huber", "weight": 1}, {"version": 2}):
        with pytest.raises(ValueError, match=r"^(config|version): expected .*, got "):
            face.from_config(wrong)


@on_every_face
@pytest.mark.parametrize(
    ("error", "loss"),
    [
        (ValueError, "mse"),
        (ValueError, "HUBER"),
        (ValueError, {"name": "mse"}),
        (ValueError, {"name": "huber", "beta": 1.0}),
        (TypeError, {"delta": 1.0}),
        (TypeError, Huber),
        (TypeError, None),
        (TypeError, 2),
        (TypeError, ["huber"]),
    ],
    ids=repr,
)
def test_what_is_no_loss_raises(face, error, loss):
    with pytest.raises(error, match=r"^loss: expected [^\n]+, got [^\n]+$"):
        face(loss)


def test_a_loss_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Loss()
    assert "Loss" not in LOSSES


def test_a_loss_of_somebody_is_a_frozen_dataclass():
    """Any other would be equal to, or hashed apart from, what it should not."""

    class Plain(Loss):
        def __init__(self, c):
            self.c = c

        def rho(self, r, xp):
            return self.c * r * r

        def psi(self, r, xp):
            return 2 * self.c * r

        def curvature(self, r, xp):
            return xp.full_like(r, 2 * self.c)

    thawed = dataclass(type("Thawed", (Plain,), {"__annotations__": {"c": float}}))
    try:
        for loss in (Plain(1.0), thawed(1.0)):
            with pytest.raises(TypeError, match=r"loss: expected one whose class is a dataclass"):
                Criterion(loss)
    finally:
        del LOSSES["Plain"], LOSSES["Thawed"]


def test_a_base_of_losses_is_no_loss():
    class Scaled(Loss):
        def psi(self, r, xp):
            return r

    assert "Scaled" not in LOSSES


def test_fields_that_differ_from_their_defaults():
    assert Criterion().changed == {}
    assert Criterion(Huber(), empty="zero").changed == {"loss": Huber(), "empty": "zero"}
    assert Criterion(SquaredError(), axis=0).changed == {"axis": 0}


@pytest.mark.parametrize(
    "module",
    [l2torch.HuberLoss(delta=0.5), l2torch.QuantileLoss(0.9, "sum"), l2torch.RMSELoss(axis=(0, 1))],
    ids=repr,
)
def test_drop_ins_of_pytorch(module):
    """They come back as they are, and take no other loss."""
    again = type(module).from_config(json.loads(json.dumps(module.to_config())))
    assert type(again) is type(module)
    assert again.criterion == module.criterion
    assert type(module).from_config({}).criterion == type(module)().criterion
    with pytest.raises(ValueError, match=r"loss: expected .* in .*Loss, got 'log_cosh'"):
        type(module).from_config({"loss": "log_cosh"})
