"""Private names of Keras and TensorFlow that we use: all of them, each with what serves without it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import keras


def found(module: str, name: str, instead: Any) -> Any:
    """What a module has under this name, or else ``instead``."""
    try:
        return getattr(import_module(module), name, instead)
    except ImportError:
        return instead


def _attribute(x: Any) -> Any:
    return getattr(x, "_keras_mask", None)


get_keras_mask = found("keras.src.backend", "get_keras_mask", _attribute)
"""The mask that a tensor carries, which JAX's tracers cannot as an attribute; else the attribute."""


def _never() -> bool:
    return False


compiling = _never
"""Whether Dynamo, which knows no frames, traces Keras on torch."""
if keras.backend.backend() == "torch":
    compiling = found("torch.compiler", "is_compiling", _never)


def minimised(kinds: Iterable[type]) -> None:
    """Tell Keras that the metric that it makes of such a loss is to be minimised; else callbacks ask
    for a mode."""
    found("keras.src.losses", "ALL_OBJECTS", set()).update(kinds)


def traced_as_it_is(*packages: str) -> None:
    """Tell AutoGraph that these have nothing to rewrite; else a first trace takes 3 s."""
    config = found("tensorflow.python.autograph.core", "config", None)
    if hasattr(config, "CONVERSION_RULES") and hasattr(config, "DoNotConvert"):
        ours = [config.DoNotConvert(name) for name in packages]
        config.CONVERSION_RULES = (*ours, *config.CONVERSION_RULES)
