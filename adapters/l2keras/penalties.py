"""The core's penalties as Keras's regularizers."""

from __future__ import annotations

from typing import Any

import keras

import l2core


class _Regularizer(keras.regularizers.Regularizer):  # type: ignore[misc]
    """What the three share: a penalty of the core, called with a layer's weights."""

    penalty: l2core.Penalty

    def __call__(self, x: Any) -> Any:
        # On TensorFlow a Keras variable is none of its tensors, nor made one by this.
        return self.penalty(keras.ops.convert_to_tensor(getattr(x, "value", x)))

    def get_config(self) -> dict[str, Any]:
        """The coefficients."""
        return vars(self.penalty).copy()


@keras.saving.register_keras_serializable("l2core")
class Ridge(_Regularizer):
    """l2·Σw², as :class:`l2core.Ridge`; ``keras.regularizers.L2`` under the core's name."""

    def __init__(self, l2: float = 0.01) -> None:
        self.penalty = l2core.Ridge(l2)


@keras.saving.register_keras_serializable("l2core")
class Lasso(_Regularizer):
    """l1·Σ|w|, as :class:`l2core.Lasso`."""

    def __init__(self, l1: float = 0.01) -> None:
        self.penalty = l2core.Lasso(l1)


@keras.saving.register_keras_serializable("l2core")
class ElasticNet(_Regularizer):
    """l1·Σ|w| + l2·Σw², as :class:`l2core.ElasticNet`."""

    def __init__(self, l1: float = 0.01, l2: float = 0.01) -> None:
        self.penalty = l2core.ElasticNet(l1, l2)
