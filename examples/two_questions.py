"""Two questions about a printed loss: why is it this number, and is squared error right here?

A linear model of scikit-learn's diabetes data. Four numbers that a notebook, a progress bar and a
library may print for it are explained; then its residuals are diagnosed, with a page in build/.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_predict

from l2core import diagnose, explain

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--html", type=Path, default=Path("build/diabetes.html"))
html = parser.parse_args().html

X, y = load_diabetes(return_X_y=True)
pred = cross_val_predict(LinearRegression(), X, y, cv=5)
r = pred - y
batches = [np.mean(r[i : i + 32] ** 2) for i in range(0, len(r), 32)]
printed = {
    "a notebook": f"{np.sqrt(np.mean(r**2)):.4f}",
    "a progress bar": f"{np.mean(batches):.2f}",
    "a library with a half": f"{np.mean(0.5 * r**2):.2f}",
    "targets of shape (442, 1)": f"{np.mean((pred - y[:, None]) ** 2):.2f}",
}
for who, text in printed.items():
    print(f"{who:26} {explain(text, pred, y).verdict}")
print()
print(explain(printed["a progress bar"], pred, y, other=f"{np.mean(r**2):.2f}").change)
print()

found = diagnose(pred, y, by=np.where(X[:, 1] > 0, "first sex", "second sex"))
print(found)
html.parent.mkdir(parents=True, exist_ok=True)
found.to_html(html)
print(f"\nwrote {html}")
