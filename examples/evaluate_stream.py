"""An evaluation of any size in constant memory, which stops and goes on: `--elements 1000000000`.

Predictions come in chunks, as from a model or a file. One state has all figures, in some 20 kB of JSON;
another process goes on from it, and ends with the bits of one that never stopped. Where a single
criterion is enough, its terms are, at the speed of the bare loss.
"""

import argparse
import resource
import time

import numpy as np

from l2core import Criterion, ErrorStatistics, evaluate

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--elements", type=int, default=20_000_000)
given = parser.parse_args()
CHUNK = 1 << 22
rng = np.random.default_rng(0)
# Fahrenheit in the hundreds, with errors of a degree: what float32 sums of squares lose.
target = (400 + 50 * rng.normal(size=CHUNK)).astype("f4")
pred = (target + rng.normal(size=CHUNK)).astype("f4")
chunks = max(2, given.elements // CHUNK)
criterion = Criterion()


class Chunks:
    """So many chunks, as a loader gives them."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return self.number

    def __iter__(self):
        return ((pred, target) for _ in range(self.number))


def timed(name, run):
    start = time.perf_counter()
    found = run()
    speed = 8 * chunks * CHUNK / (time.perf_counter() - start) / 1e9
    print(f"{name:<44}{speed:6.2f} GB/s")
    return found


print(f"{chunks * CHUNK:.3g} elements")
values = timed("value of each chunk alone", lambda: [criterion(*pair) for pair in Chunks(chunks)])
terms = timed(
    "criterion over all: terms, added up",
    lambda: sum(criterion.terms(*pair) for pair in Chunks(chunks)),
)
timed("all figures but quantiles", lambda: evaluate(Chunks(chunks), quantiles=False))
whole = timed("all figures", lambda: evaluate(Chunks(chunks), progress=True))
print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")

half = evaluate(Chunks(chunks // 2)).to_json()
resumed = evaluate(Chunks(chunks - chunks // 2), ErrorStatistics.from_json(half))
assert resumed.to_json() == whole.to_json()
print(f"stopped after half, a state of {len(half)} bytes; resumed: the same bits")
print(
    f"R² {whole.r2:.7f}, RMSE {whole.rmse:.5f}, bias {whole.bias:.5f}, largest {whole.max_error:.2f}"
)
print(f"median of |error| {whole.median_absolute_error:.4f}, 99 % below {whole.quantile(0.99):.4f}")
assert abs(terms.value() / whole.mse - 1) < 1e-6
assert abs(whole.quantile(0.99) / np.quantile(np.abs(pred - target), 0.99) - 1) < 1 / 200
