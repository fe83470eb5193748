"""Terms across those who share a mean: replicas of ``tf.distribute``, or ranks of a process group.

Keras adds up what the replicas' losses give as gradients, and multiplies a reported loss by their
number. So a loss is the mean over all replicas' data divided by the number of replicas: averaging
the means of parts instead would be wrong as soon as their denominators differ. Under a process group
(Keras on torch) DistributedDataParallel averages, and the loss is the mean of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from l2core.arrays import Array


def replicas() -> int:
    """How many replicas run this call side by side; 1 outside of ``strategy.run``."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return 1 if context is None else int(context.num_replicas_in_sync)


class Replicas:
    """Those of ``tf.distribute``, within ``strategy.run``."""

    def __init__(self, number: int) -> None:
        self.divisor = number

    def add_up(self, *sums: Array) -> Sequence[Array]:
        """The sums of all replicas, on each of them; differentiable."""
        import tensorflow as tf

        alike = [tf.cast(x, sums[0].dtype) for x in sums]
        found: Sequence[Array] = tf.distribute.get_replica_context().all_reduce("SUM", alike)
        return found


class Group:
    """The ranks of a process group of PyTorch, or ``"world"``."""

    divisor = 1

    def __init__(self, group: Any) -> None:
        if keras.backend.backend() != "torch":
            raise ValueError(
                "process_group: expected None with Keras on "
                f"{keras.backend.backend()}, where the compiler or tf.distribute adds up, got {group!r}"
            )
        from l2torch.distributed import Ranks

        self.ranks = Ranks(group)

    def add_up(self, *sums: Array) -> Sequence[Array]:
        """The sums of all ranks, with the gradient to each rank's own."""
        found: Sequence[Array] = self.ranks.add_up(*sums)
        return found


def slots() -> int:
    """How many replicas the strategy of this scope has."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def slot() -> Any:
    """Which of them this call runs on."""
    if replicas() == 1:
        return 0
    import tensorflow as tf

    return tf.distribute.get_replica_context().replica_id_in_sync_group
