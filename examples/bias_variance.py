"""Bias and variance by the degree of a polynomial: why neither a line nor a wiggle predicts best.

300 samples of 30 noisy points of a sine; for each degree, 300 fitted polynomials are an ensemble whose
squared error at new points is bias² + variance + noise. Draws docs/bias_variance.png (`--out`).
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.polynomial import Polynomial

from l2core import bias_variance

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=Path("build/bias_variance.png"))
out = parser.parse_args().out
NOISE, SAMPLES, POINTS, DEGREES = 0.3, 300, 30, range(10)
rng = np.random.default_rng(0)
at = np.linspace(0, 1, 400)
truth = np.sin(2 * np.pi * at)
measured = truth + NOISE * rng.normal(size=at.size)


def ensemble(degree: int) -> np.ndarray:
    """The predictions of one polynomial for each sample, (SAMPLES, 400)."""
    fitted = []
    for _ in range(SAMPLES):
        x = rng.uniform(size=POINTS)
        y = np.sin(2 * np.pi * x) + NOISE * rng.normal(size=POINTS)
        fitted.append(Polynomial.fit(x, y, degree, domain=[0, 1])(at))
    return np.stack(fitted)


found = [bias_variance(ensemble(degree), measured, noise=NOISE**2) for degree in DEGREES]
for degree, parts in zip(DEGREES, found, strict=True):
    mse, bias, variance, noise = map(float, parts)
    print(
        f"degree {degree}: MSE {mse:8.4f} = bias² {bias:7.4f} + variance {variance:8.4f} + noise {noise:.2f}"
    )
    assert abs(mse - (bias + variance + noise)) < 1e-12 * mse
best = min(DEGREES, key=lambda degree: found[degree].mse)

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
colors = {"bias²": "#4477aa", "variance": "#ee8866", "noise": "#bbbbbb"}
shown = [degree for degree in DEGREES if found[degree].mse < 1]
bottom = np.zeros(len(shown))
for name, values in (
    ("noise", [found[d].noise for d in shown]),
    ("bias²", [found[d].bias_squared for d in shown]),
    ("variance", [found[d].variance for d in shown]),
):
    axes[0].bar(shown, values, 0.8, bottom, color=colors[name], label=name)
    bottom += values
axes[0].plot(shown, [found[d].mse for d in shown], "k.", label="MSE")
axes[0].set(
    xlabel="degree", ylabel="mean squared error", xticks=shown, title=f"Best: degree {best}"
)
axes[0].legend(frameon=False)
for degree, color in ((1, "#4477aa"), (best, "#228833"), (shown[-1], "#ee8866")):
    center = ensemble(degree)
    low, middle, high = np.quantile(center, [0.1, 0.5, 0.9], axis=0)
    axes[1].plot(at, middle, color=color, label=f"degree {degree}")
    axes[1].fill_between(at, low, high, color=color, alpha=0.2, linewidth=0)
axes[1].plot(at, truth, "k--", linewidth=1, label="truth")
axes[1].set(ylim=(-2, 2), xlabel="x", title="Median of the fits, and where 80 % of them lie")
axes[1].legend(frameon=False)
out.parent.mkdir(parents=True, exist_ok=True)
figure.savefig(out, dpi=120)
print(f"wrote {out}")
