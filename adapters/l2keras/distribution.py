"""Terms across the replicas of a ``tf.distribute`` strategy; everywhere else there is one replica.

Keras adds up what the replicas' losses give as gradients, and multiplies a reported loss by their
number. So a loss is the mean over all replicas' data divided by the number of replicas: averaging
the means of parts instead would be wrong as soon as their denominators differ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from l2core import Terms


def replicas() -> int:
    """How many replicas run this call side by side; 1 outside of ``strategy.run``."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return 1 if context is None else int(context.num_replicas_in_sync)


def all_reduced(terms: Terms) -> Terms:
    """The sum of all replicas' terms, on each of them; differentiable."""
    import tensorflow as tf

    denominator: Any = tf.cast(terms.denominator, terms.numerator.dtype)
    context = tf.distribute.get_replica_context()
    numerator, denominator = context.all_reduce("SUM", [terms.numerator, denominator])
    return replace(terms, numerator=numerator, denominator=denominator)
