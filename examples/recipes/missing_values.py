"""
A time series with missing values
=================================

A thermometer drops out, most of all when it is hot. Missing targets that are left out of the loss
cost nothing but their information; filled with zeros or with the mean they are learned as if
measured.
"""

# %%
# Ten days of temperatures by the hour. Two days are lost altogether, and of what is above 24 °C,
# three readings in four. The model is linear: a level, a slope, and two harmonics of the day.

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import l2jax

rng = np.random.default_rng(0)
hours = np.arange(240)
days = hours / 24
truth = 18 + 0.6 * days - 8 * np.cos(2 * np.pi * (days - 0.15)) + np.cos(4 * np.pi * days)
measured = truth + rng.normal(0, 0.8, hours.size)
lost = ((days > 3.5) & (days < 5.5)) | ((measured > 24) & (rng.random(hours.size) < 0.75))
target = jnp.asarray(np.where(lost, np.nan, measured), jnp.float32)

angles = 2 * np.pi * np.outer(days, [1, 2])
columns = [np.ones_like(days)[:, None], days[:, None] / 5 - 1, np.cos(angles), np.sin(angles)]
features = jnp.asarray(np.hstack(columns), jnp.float32)
print(f"{lost.mean():.0%} of {hours.size} targets are missing")

# %%
# ``nan_targets="ignore"`` is the mask ``~isnan(target)``, in one word. The usual ways to write it
# by hand have the right value and a gradient of NaN: a ``where`` that comes after the square does
# not keep NaN out of the derivative, since the chain rule multiplies the 0 of what was not selected
# by the NaN of the residual.

criterion = l2jax.Criterion(nan_targets="ignore")


def nanmean(pred, target):
    return jnp.nanmean((pred - target) ** 2)


def where(pred, target):
    return jnp.mean((pred - target) ** 2, where=~jnp.isnan(target))


start = jnp.zeros(features.shape[1])
for name, loss in (("criterion", criterion), ("nanmean", nanmean), ("mean(where=)", where)):
    value, slope = jax.value_and_grad(lambda w, loss=loss: loss(features @ w, target))(start)
    print(f"{name:13} value {value:.3f}, gradient to the level {slope[0]:.3f}")

# %%
# What is then often done instead is to fill the gaps before training. All three fits are by
# gradient descent of one criterion; only the targets differ.


@jax.jit
def fitted(target):
    def step(w, _):
        return w - 0.3 * jax.grad(lambda w: criterion(features @ w, target))(w), None

    return jax.lax.scan(step, start, length=400)[0]


missing = jnp.isnan(target)
filled = {
    "left out": target,
    "mean filled in": jnp.where(missing, jnp.nanmean(target), target),
    "zeros filled in": jnp.where(missing, 0.0, target),
}
rmse = l2jax.Criterion(reduction="root_mean")
curves = {}
for name, y in filled.items():
    curves[name] = features @ fitted(y)
    error = rmse(curves[name], jnp.asarray(truth, jnp.float32))
    top = float(curves[name].max())
    print(f"{name:15} RMSE to the truth {error:5.2f} °C, highest temperature {top:.1f} °C")
print(f"{'truth':15} {'':32} highest temperature {truth.max():.1f} °C")

# %%
# The fit without the missing values is still not quite the truth: that readings are lost because
# they are high is in no loss. It is the fit of what was measured.

BLUE, RED, YELLOW = "#4477aa", "#ee6677", "#ccbb44"  # P. Tol, "Colour schemes" (2021)
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.fill_between(days, 0, 1, lost, transform=ax.get_xaxis_transform(), color="#f0f0f0", label="gaps")
ax.plot(days, truth, color="#bbbbbb", linewidth=6, label="truth")
ax.plot(days, target, ".", color="black", markersize=4, label="measured")
for (name, curve), color, style in zip(
    curves.items(), (BLUE, YELLOW, RED), ("-", "--", "-."), strict=True
):
    ax.plot(days, curve, color=color, linestyle=style, linewidth=1.8, label=name)
ax.set(xlabel="time (days)", ylabel="temperature (°C)", xlim=(0, 10), ylim=(0, 36))
ax.spines[["top", "right"]].set_visible(False)
legend = figure.legend(loc="outside upper center", ncols=3, frameon=False)
