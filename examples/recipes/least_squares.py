"""
Least squares, three ways
=========================

Gradient descent of the mean squared error, the normal equations and ``l2core.least_squares`` have
one answer, whose residual is orthogonal to the columns. They differ in how many of its digits are
right.
"""

# %%
# Two hundred measurements of a line with a curvature. The criterion returns the gradient to the
# predictions in closed form; the transpose of X carries it to the coefficients.

import matplotlib.pyplot as plt
import numpy as np

from l2core import Criterion, least_squares

rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, 200)
X = np.column_stack([np.ones_like(x), x, x**2])
y = X @ [1.0, 2.0, -1.5] + 0.3 * rng.standard_normal(200)
mse = Criterion("squared_error")

best = least_squares(X, y).coefficients
normal = np.linalg.solve(X.T @ X, X.T @ y)
w = np.zeros(3)
path, slopes = [w], []
for _ in range(400):
    _, grad = mse.value_and_grad(X @ w, y)
    slopes.append(np.linalg.norm(X.T @ grad))
    w = w - 0.4 * (X.T @ grad)
    path.append(w)
print("least_squares    ", best.round(6))
print("normal equations ", normal.round(6))
print("gradient descent ", w.round(6))
print(f"residual times columns: {np.abs(X.T @ (X @ best - y)).max():.0e}")

# %%
# The normal equations are XᵀX w = Xᵀy, and XᵀX has the square of X's condition number κ;
# ``least_squares`` works on X itself. To see it, X is made with singular values from 1 down to 1/κ,
# and y as Xw for a known w. At κ = 10⁴ the normal equations have lost half of the sixteen digits,
# and at 10⁸, where κ² is above 1/ε, all of them. (With a residual the answer itself depends on the
# last digits of X by up to κ² times that residual, whatever solves for it: Golub and Van Loan,
# Matrix Computations, 5.3.)

EPS = np.finfo(np.float64).eps
conditions = 10.0 ** np.arange(0, 11)
errors = {"normal equations": [], "least_squares": []}
left = np.linalg.qr(rng.standard_normal((200, 6)))[0]
right = np.linalg.qr(rng.standard_normal((6, 6)))[0]
for condition in conditions:
    A = left * np.geomspace(1, 1 / condition, 6) @ right
    true = right.T @ np.ones(6)
    b = A @ true
    solutions = {
        "normal equations": np.linalg.solve(A.T @ A, A.T @ b),
        "least_squares": least_squares(A, b).coefficients,
    }
    for name, found in solutions.items():
        errors[name].append(np.linalg.norm(found - true) / np.linalg.norm(true))
for k in (0, 4, 8):
    digits = {name: -np.log10(max(error[k], EPS)) for name, error in errors.items()}
    print(
        f"condition number 1e{k}: digits right",
        ", ".join(f"{name} {n:.0f}" for name, n in digits.items()),
    )

# %%
# Gradient descent comes to the coefficients of the closed form (dashed), and its gradient, the
# residual times the columns, to 0. The error of ``least_squares`` stays about or below ε κ, that of
# the normal equations follows ε κ² until nothing is right. The residual that is left has no trace
# of a level, a slope or a curvature.

BLUE, RED, GREEN = "#4477aa", "#ee6677", "#228833"  # P. Tol, "Colour schemes" (2021)
figure, axes = plt.subplots(2, 2, figsize=(7.5, 6), layout="constrained")
(coefficients, condition), (slope, rest) = axes
for k, (name, color) in enumerate((("level", BLUE), ("slope", GREEN), ("curvature", RED))):
    coefficients.plot(np.array(path)[:, k], color=color, linewidth=1.8, label=name)
    coefficients.axhline(best[k], color=color, linewidth=0.8, linestyle="--")
coefficients.set(xlabel="step", ylabel="coefficient", xlim=(0, 100))
slope.plot(slopes, color="black")
slope.set(yscale="log", xlabel="step", ylabel="|Xᵀ · gradient|, all columns")

for (name, error), color, style in zip(errors.items(), (RED, BLUE), ("s--", "o-"), strict=True):
    condition.plot(conditions, error, style, color=color, label=name)
condition.plot(conditions, EPS * conditions**2, color="#bbbbbb", zorder=0, label="ε κ² and ε κ")
condition.plot(conditions, EPS * conditions, color="#bbbbbb", zorder=0)
condition.set(xscale="log", yscale="log", xlabel="condition number κ", ylim=(1e-17, 1e3))
condition.set_ylabel("relative error")

residual = y - X @ best
rest.plot(x, residual, ".", color="#777777", markersize=4)
rest.axhline(0, color="black", linewidth=0.8)
rest.set(xlabel="x", ylabel="residual of the fit")
for ax in axes.flat:
    ax.spines[["top", "right"]].set_visible(False)
for ax in (coefficients, condition):
    legend = ax.legend(frameon=False, fontsize=8)
