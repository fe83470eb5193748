"""`l2core.explain`: batches of sizes that are not usual, and several predicted quantiles."""

import math

import numpy as np
import pytest

from l2core import explain

RNG = np.random.default_rng(16)
PRED, TARGET = RNG.uniform(0.2, 4, (2, 61, 3))


@pytest.mark.parametrize("several", [2, 3, 7, 9])
def test_the_sum_over_quantiles(several):
    """As of forecasters: the sum over quantiles, and twice the pinball loss."""
    levels = np.array({2: [0.1, 0.9], 3: [0.1, 0.5, 0.9]}.get(several, range(1, several + 1)))
    if several == 7:
        levels = np.array([0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])
    elif several == 9:
        levels = levels / 10
    p = np.sort(RNG.normal(size=(200, several)), axis=1)
    r = p - TARGET.ravel()[:183].repeat(2)[:200, None]
    each = np.where(r > 0, (1 - levels) * r, -levels * r)
    for value, reduction in (
        (each.sum(axis=1).mean(), "summed over quantiles, mean over targets"),
        (each.mean(), "mean pinball"),
        (2 * each.mean(), "times 2" if several > 2 else "summed over quantiles"),
    ):
        for target in (p[:, 0] - r[:, 0], (p[:, 0] - r[:, 0])[:, None]):
            found = explain(f"{value:.7g}", p, target).matches[0]
            assert reduction in found.words
            assert found.words.replace("mean ", "").startswith("pinball (q 0.")


@pytest.mark.parametrize("b", [3, 7, 9, 13, 31, 45, 46, 60, 61, 90, 91, 92, 179, 180])
@pytest.mark.parametrize("what", ["means", "last", "root", "cut", "running"])
def test_batches_of_any_size(b, what):
    """Those that are not usual are tried where nothing else fits, below and above the root of the rows."""
    p, t = (np.concatenate([x, 2 * x, 3 * x])[:181, 0] for x in (PRED, TARGET))
    losses = [np.mean(x) for x in np.split((p - t) ** 2, range(b, len(p), b))]
    average = 0.0
    for x in losses:
        average = 0.98 * average + 0.02 * x
    cut = (p - t)[: len(p) // b * b]
    value = {
        "means": np.mean(losses),
        "last": losses[-1],
        "root": np.mean(losses) ** 0.5,
        "cut": np.mean(cut**2),
        "running": average,
    }[what]
    found = explain(f"{value:.12g}", p, t)
    every = [words for m in found.matches for words in (m.words, *m.same)]
    words = {
        "means": f"mean of the means of batches of {b}: ",
        "last": f"the last batch of {b};",
        "root": f"root of the mean of the means of batches of {b}: ",
        "cut": f"without the last, shorter batch of {b};",
        "running": f"(smoothing 0.98) over batches of {b}: ",
    }[what]
    named = any(words in text + ";" for text in every)
    # The last rows of this size may be those of a usual one, which is then named.
    assert named or (what in ("last", "cut") and "last" in str(every))
    assert math.isclose(found.matches[0].value, value, rel_tol=1e-11)
