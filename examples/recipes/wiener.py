"""
A Wiener filter by least squares
================================

The linear filter of least mean squared error is a least-squares problem, with the variance of the
noise as its penalty. How large that penalty is depends on whether it stands beside a sum or a
mean.
"""

# %%
# White noise of a known variance is added to the lines of a photograph. Of all filters w over a
# window of the noisy line, wanted is the one that minimises E(w·(s + noise) - s_centre)² =
# ‖Sw-s‖²/n + variance·‖w‖², where S has the windows of the clean line as rows. ``Ridge`` holds the
# penalty as it stands beside the mean, and translates it for ``least_squares``, which minimises a
# sum: there it is n times as large.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from l2core import Criterion, Ridge, least_squares

WIDTH, DEVIATION = 9, 25.0  # pixels of a window; grey levels of noise
CENTRE = WIDTH // 2
rng = np.random.default_rng(0)
mse = Criterion("squared_error")


def windows_of(photo: np.ndarray) -> np.ndarray:
    """All windows of all lines, (n, WIDTH)."""
    return np.lib.stride_tricks.sliding_window_view(photo, WIDTH, axis=1).reshape(-1, WIDTH)


photo = load_sample_image("china.jpg").mean(axis=-1)[::8]  # every eighth line, float64
photo -= photo.mean()
windows = windows_of(photo)
clean = windows[:, CENTRE]
noisy_photo = photo + DEVIATION * rng.standard_normal(photo.shape)
noisy = windows_of(noisy_photo)

penalty = Ridge(DEVIATION**2)
total = penalty.to("ridge", total=len(clean))["alpha"]
print(f"{len(clean):,} pixels, noise of {DEVIATION:g} grey levels, filters of {WIDTH} pixels")
print(f"penalty beside the mean {penalty.l2:g}, beside the sum {total:.4g}")

# %%
# At the minimum the error is the variance times the middle coefficient: it is known before any
# noise is drawn. A filter learned from noisy examples alone comes to the same. The variance without
# the n, as if it stood beside a mean, hardly smooths at all; nor does the mean over three pixels,
# which is what is often taken, know how the picture and the noise compare.

filters = {
    "the pixel itself": np.eye(WIDTH)[CENTRE],
    "mean over 3 pixels": np.convolve(np.eye(WIDTH)[CENTRE], np.ones(3) / 3, "same"),
    "penalty without the n": least_squares(windows, clean, l2=penalty.l2).coefficients,
    "Wiener": least_squares(windows, clean, l2=total).coefficients,
    "learned from noisy examples": least_squares(noisy, clean).coefficients,
}
for name, w in filters.items():
    print(f"{name:28} mean squared error {mse(noisy @ w, clean):7.2f}")
wiener = filters["Wiener"]
print(f"{'Wiener, as theory predicts':28} mean squared error {DEVIATION**2 * wiener[CENTRE]:7.2f}")

# %%
# Part of one line, and how much of each frequency the filters let pass. The grey curve is the
# Wiener filter of unlimited width, P/(P + variance) with P the power spectrum of the lines, which
# the nine coefficients follow as far as nine can. They keep more of a fine pattern that some lines
# have, near 0.25 cycles per pixel, than of what lies about it; the mean over three pixels knows no
# pattern.

BLUE, RED, GREEN = "#4477aa", "#ee6677", "#228833"  # P. Tol, "Colour schemes" (2021)
LINE = 30
figure, (signal, response) = plt.subplots(2, 1, figsize=(7, 6), layout="constrained")
pixel = np.arange(CENTRE, photo.shape[1] - CENTRE)
filtered = windows_of(noisy_photo[[LINE]]) @ wiener
signal.plot(pixel, noisy_photo[LINE, pixel], color="#bbbbbb", linewidth=1, label="noisy")
signal.plot(pixel, photo[LINE, pixel], color="black", linewidth=1, label="clean")
signal.plot(pixel, filtered, color=BLUE, linewidth=1.8, label="Wiener")
signal.set(xlabel="pixel of the line", ylabel="grey levels from the mean", xlim=(200, 360))
signal.set_ylim(-150, 150)

taper = np.hanning(photo.shape[1])
centred = photo - photo.mean(axis=1, keepdims=True)
power = np.mean(np.abs(np.fft.rfft(centred * taper)) ** 2, axis=0) / np.sum(taper**2)
frequency = np.fft.rfftfreq(photo.shape[1])
ideal = power / (power + DEVIATION**2)
response.plot(frequency[1:], ideal[1:], color="#bbbbbb", linewidth=4, label="unlimited width")
waves = np.exp(-2j * np.pi * np.outer(frequency, np.arange(WIDTH) - CENTRE))
for name, color, style in (
    ("Wiener", BLUE, "-"),
    ("mean over 3 pixels", GREEN, "--"),
    ("penalty without the n", RED, "-."),
):
    passed = (waves @ filters[name]).real
    response.plot(frequency, passed, style, color=color, linewidth=1.8, label=name)
response.axhline(0, color="#999999", linewidth=0.8, zorder=0)
response.set(xlabel="frequency (cycles per pixel)", ylabel="share let pass", xlim=(0, 0.5))
for ax in (signal, response):
    ax.spines[["top", "right"]].set_visible(False)
    legend = ax.legend(frameon=False, ncols=2)
