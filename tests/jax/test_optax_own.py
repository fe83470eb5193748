"""optax's own tests of the losses that ours are named after, with ours in their place: all pass."""

from types import SimpleNamespace
from unittest import mock

from optax.losses import _regression_test as theirs

import l2jax

OURS = SimpleNamespace(**{name: getattr(l2jax, name) for name in l2jax.__all__})


class _Ours:
    def setUp(self):
        super().setUp()
        patch = mock.patch.object(theirs, "_regression", OURS)
        patch.start()
        self.addCleanup(patch.stop)


class TestSquaredError(_Ours, theirs.SquaredErrorTest):
    pass


class TestL2Loss(_Ours, theirs.L2LossTest):
    pass


class TestHuberLoss(_Ours, theirs.HuberLossTest):
    pass


class TestLogCosh(_Ours, theirs.LogCoshTest):
    pass
