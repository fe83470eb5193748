"""An evaluation of any size in constant memory, which stops and goes on: `--elements 1000000000`.

Predictions come in chunks, as from a model or a file. One state has all figures, in 32 kB of JSON at
most; another process goes on from it, and ends with the bits of one that never stopped.
"""

import argparse
import resource
import time

import numpy as np

from l2core import ErrorStatistics, evaluate

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--elements", type=int, default=20_000_000)
parser.add_argument(
    "--no-quantiles", action="store_true", help="without the sketch, which costs most"
)
given = parser.parse_args()
CHUNK = 1 << 20
rng = np.random.default_rng(0)
# Fahrenheit in the hundreds, with errors of a degree: what float32 sums of squares lose.
target = (400 + 50 * rng.normal(size=CHUNK)).astype("f4")
pred = (target + rng.normal(size=CHUNK)).astype("f4")
chunks = max(2, given.elements // CHUNK)


class Chunks:
    """So many chunks, as a loader gives them."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return self.number

    def __iter__(self):
        return ((pred, target) for _ in range(self.number))


quantiles = not given.no_quantiles
start = time.perf_counter()
whole = evaluate(Chunks(chunks), progress=True, quantiles=quantiles)
took = time.perf_counter() - start
half = evaluate(Chunks(chunks // 2), quantiles=quantiles).to_json()
resumed = evaluate(
    Chunks(chunks - chunks // 2), ErrorStatistics.from_json(half), quantiles=quantiles
)
assert resumed.to_json() == whole.to_json()

n = float(whole.count.total)
print(
    f"{n:.3g} elements in {took:.1f} s, {8 * n / took / 1e9:.2f} GB/s, state of {len(half)} bytes"
)
print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
print(
    f"R² {whole.r2:.7f}, RMSE {whole.rmse:.5f}, bias {whole.bias:.5f}, largest {whole.max_error:.2f}"
)
if quantiles:
    print(
        f"median of |error| {whole.median_absolute_error:.4f}, 99 % below {whole.quantile(0.99):.4f}"
    )
    exact = np.quantile(np.abs(pred - target), 0.99)
    assert abs(whole.quantile(0.99) / exact - 1) < 1 / 200
