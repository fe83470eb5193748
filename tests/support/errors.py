"""Errors that the tests of statistics look at, exact in float32."""

import numpy as np

NAMES = ("bias", "error_variance", "mse", "rmse", "mae", "target_variance", "r2")
NAMES += ("explained_variance", "max_error")
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}
RNG = np.random.default_rng(5)
N, D = 24, 3
# Multiples of 1/64 below 64, the targets 512 away from 0: residuals are exact in float32.
TARGET = 512 + RNG.integers(-999, 999, (N, D)) / 64
PRED = TARGET + RNG.integers(-99, 99, (N, D)) / 64
WEIGHT = RNG.integers(0, 5, N) / 2.0
MASK = RNG.random((N, D)) < 0.7
HIDDEN = np.where(MASK & (WEIGHT[:, None] != 0), PRED, np.nan)
QUIET = "ignore:.*encountered in:RuntimeWarning"  # NumPy's, of what the values say
