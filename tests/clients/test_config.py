"""Configuration files: jsonargparse and Hydra build the criterion, which then gives the number."""

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from jsonargparse import ArgumentParser
from omegaconf import DictConfig, ListConfig, OmegaConf

import l2core
import l2torch

jsonargparse = pytest.mark.client("jsonargparse", "jsonargparse")
hydra = pytest.mark.client("Hydra", "hydra-core")
omegaconf = pytest.mark.client("OmegaConf", "omegaconf")

RNG = np.random.default_rng(6)
PRED, TARGET = RNG.normal(size=(4, 3)), 2 * RNG.normal(size=(4, 3))
# float64: a mean of twelve terms, each of some five roundings of 1.1e-16.
CLOSE = {"rtol": 1e-14}


def huber(delta):
    r = abs(PRED - TARGET)
    return np.where(r <= delta, r * r / 2, delta * (r - delta / 2))


def value(criterion):
    if isinstance(criterion, l2core.Criterion):
        return criterion(PRED, TARGET)
    return criterion(torch.tensor(PRED), torch.tensor(TARGET)).numpy()


TOLD = [
    ("huber", 1.0),
    ("{name: Huber, delta: 0.5}", 0.5),
    ("{class_path: l2core.Huber, init_args: {delta: 0.5}}", 0.5),
]
KINDS = [("l2core.Criterion", l2core.Criterion), ("l2torch.Criterion", l2torch.Criterion)]
CASES = [(name, kind, told, delta) for name, kind in KINDS for told, delta in TOLD]


@jsonargparse
@pytest.mark.parametrize(("name", "kind", "told", "delta"), CASES)
def test_class_path(name, kind, told, delta):
    """A parameter typed `{name}`, by class_path and init_args in YAML: the nested loss as a \
name, a mapping or a class_path"""

    class Model:
        def __init__(self, criterion: kind):
            self.criterion = criterion

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Model, "model")
    config = parser.parse_string(
        f"model:\n  criterion:\n    class_path: {name}\n    init_args:\n      loss: {told}\n"
        "      reduction: root_mean\n"
    )
    model = parser.instantiate(config).model
    assert type(model.criterion) is kind
    np.testing.assert_allclose(value(model.criterion), np.sqrt(huber(delta).mean()), **CLOSE)


@jsonargparse
@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_command_line(name, kind):
    """The same of a function, from the command line, `{name}` by its name and the loss beside it"""

    def train(criterion: kind):
        return criterion

    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(train, "train")
    lines = [f"--train.criterion={name}", "--train.criterion.loss={name: Huber, delta: 0.5}"]
    config = parser.instantiate(parser.parse_args([*lines, "--train.criterion.axis=[0]"]))
    np.testing.assert_allclose(value(train(**config.train)), huber(0.5).mean(0), **CLOSE)


@jsonargparse
@pytest.mark.parametrize(("name", "kind", "told", "delta"), CASES)
def test_arguments_of_the_class(name, kind, told, delta):
    """The arguments of `{name}` itself in a group: YAML, its dump read again, and the default"""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "criterion")
    config = parser.parse_string(f"criterion:\n  loss: {told}\n  axis: [0, 1]\n")
    again = parser.parse_string(parser.dump(config))
    for each in (config, again):
        criterion = parser.instantiate(each).criterion
        np.testing.assert_allclose(value(criterion), huber(delta).mean(), **CLOSE)
    default = parser.instantiate(parser.parse_args([])).criterion
    np.testing.assert_allclose(value(default), ((PRED - TARGET) ** 2).mean(), **CLOSE)


@hydra
@pytest.mark.parametrize("name", [name for name, _ in KINDS])
@pytest.mark.parametrize(
    ("told", "delta"),
    [*TOLD[:2], ("{_target_: l2core.Huber, delta: 0.5}", 0.5)],
)
def test_instantiate(name, told, delta):
    """`instantiate` with `_target_: {name}`: the loss as a name, a mapping or a \
`_target_`, an axis as a list"""
    config = OmegaConf.create(f"_target_: {name}\nloss: {told}\naxis: [0]")
    np.testing.assert_allclose(value(instantiate(config)), huber(delta).mean(0), **CLOSE)
    plain = OmegaConf.to_container(config)
    np.testing.assert_allclose(value(instantiate(plain)), huber(delta).mean(0), **CLOSE)


@omegaconf
@pytest.mark.parametrize("kind", [kind for _, kind in KINDS])
def test_containers(kind):
    """A `DictConfig` as the loss, a `ListConfig` as the axis, and a whole `DictConfig` for \
`from_config`"""
    config = OmegaConf.create({"loss": {"name": "Huber", "delta": 0.5}, "axis": [1]})
    assert isinstance(config.loss, DictConfig)
    assert isinstance(config.axis, ListConfig)
    for criterion in (kind(config.loss, axis=config.axis), kind.from_config(config)):
        np.testing.assert_allclose(value(criterion), huber(0.5).mean(1), **CLOSE)
        again = kind.from_config(OmegaConf.create(criterion.to_config()))
        np.testing.assert_allclose(value(again), huber(0.5).mean(1), **CLOSE)
