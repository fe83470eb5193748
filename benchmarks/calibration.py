"""How often `l2core.diagnose` suggests what is right, on data of known kinds: docs/questions.md."""

from __future__ import annotations

import datetime
from collections import Counter

import numpy as np

from l2core import diagnose

DRAWS, N = 200, 1000
RIGHT = {
    "Gaussian": "keep",
    "Laplace": "laplace",
    "Student's t, 3 degrees": "outliers",
    "5 % outliers, ten times as wide": "outliers",
    "spread grows with the prediction": "spread",
    "spread is least in the middle": "spread",
    "skewed (exponential)": "skewed",
    "skewed (log-normal)": "skewed",
}


def draw(seed):
    """Prediction and target of each kind."""
    rng = np.random.default_rng(seed)
    p, noise = 10 + 3 * rng.standard_normal(N), rng.standard_normal(N)
    wide = rng.uniform(1, 10, N)
    errors = {
        "Gaussian": noise,
        "Laplace": rng.laplace(size=N),
        "Student's t, 3 degrees": rng.standard_t(3, N),
        "5 % outliers, ten times as wide": np.where(rng.random(N) < 0.05, 10 * noise, noise),
        "spread grows with the prediction": 0.2 * wide * noise,
        "spread is least in the middle": 0.2 * (1 + np.abs(wide - 5.5)) * noise,
        "skewed (exponential)": rng.exponential(size=N) - 1,
        "skewed (log-normal)": rng.lognormal(sigma=0.6, size=N) - np.exp(0.18),
    }
    for kind, error in errors.items():
        pred = wide if kind.startswith("spread") else p
        yield kind, pred, pred + error


def main():
    found = {kind: Counter() for kind in RIGHT}
    for seed in range(DRAWS):
        for kind, p, t in draw(seed):
            found[kind][diagnose(p, t).suggestions[0].name] += 1
    print(f"{datetime.date.today()}, {DRAWS} draws of {N:,} residuals each\n")
    print("| noise | right suggestion | came first in | else |")
    print("| --- | --- | --- | --- |")
    for kind, right in RIGHT.items():
        others = ", ".join(f"{k} ({n})" for k, n in found[kind].items() if k != right)
        print(f"| {kind} | {right} | {100 * found[kind][right] / DRAWS:.1f} % | {others or '-'} |")


if __name__ == "__main__":
    main()
