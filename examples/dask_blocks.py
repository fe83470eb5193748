"""Dask arrays, block by block: a criterion, and all figures of errors merged as a tree.

On a cluster nothing changes: with a `distributed.Client` the blocks are looked at where they lie, and
states of some kilobytes travel. Ray Data or Spark need the same three lines: `ErrorStatistics.of` for
each batch (`map_batches`, `mapInPandas`), `to_json` on the way, and `sum` at the end.
"""

import dask.array as da

from l2core import Criterion, ErrorStatistics, dask_statistics

rows = 4_000_000
random = da.random.default_rng(0)
target = random.normal(1000, 5, size=rows, chunks=250_000)
pred = target + random.normal(0, 1, size=rows, chunks=250_000)
mask = target > 990

loss = Criterion("huber")(pred, target, mask=mask)
found = dask_statistics(pred, target, mask=mask)
print(f"Huber {loss.compute():.5f}")
state = found.compute()
print(f"{state.count.total:.0f} elements: R² {state.r2:.4f}, RMSE {state.rmse:.4f}")
print(
    f"half of the errors below {state.median_absolute_error:.3f}, 99 % below {state.quantile(0.99):.3f}"
)

# The same by hand, as any engine that maps and reduces does it.
texts = [
    ErrorStatistics.of(
        *(x.blocks[i].compute() for x in (pred, target)), mask=mask.blocks[i].compute()
    )
    for i in range(2)
]
print(
    f"the first two blocks alone: RMSE {sum(ErrorStatistics.from_json(t.to_json()) for t in texts).rmse:.4f}"
)
assert abs(state.rmse - 1) < 0.01
assert abs(state.median_absolute_error - 0.6745) < 0.6745 / 100
