"""Keras's own tests of the losses that ours stand in for, with ours in their place.

All pass but two, which fix a trap in place and must fail.
"""

import unittest
from types import SimpleNamespace
from unittest import mock

from keras.src.losses import losses_test as theirs

import l2keras

NAMES = ("MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh")
OURS = SimpleNamespace(**vars(theirs.losses) | {name: getattr(l2keras, name) for name in NAMES})


class _Ours:
    def setUp(self):
        super().setUp()
        patch = mock.patch.object(theirs, "losses", OURS)
        patch.start()
        self.addCleanup(patch.stop)


class TestMeanSquaredError(_Ours, theirs.MeanSquaredErrorTest):
    pass


class TestMeanAbsoluteError(_Ours, theirs.MeanAbsoluteErrorTest):
    pass


class TestHuber(_Ours, theirs.HuberLossTest):
    @unittest.expectedFailure  # it wants a config without delta: a saved Huber loses its own
    def test_config(self):
        super().test_config()


class TestLogCosh(_Ours, theirs.LogCoshTest):
    @unittest.expectedFailure  # it wants a config without dtype: a saved loss loses its own
    def test_config(self):
        super().test_config()
