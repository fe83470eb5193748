"""The linear filter of least mean squared error (Wiener), on the lines of a photograph.

White noise of a known variance is added to each pixel. Of all filters w over a window of the noisy
line, theory wants the one that minimises E(w·(s + noise) - s_centre)² = |Sw - s|²/n + variance·|w|²,
S being the windows of the clean line: that is least squares with the penalty l2 = n·variance, and at
its minimum the error is variance·w_centre. Both numbers are known before any noise is drawn.
"""

import numpy as np
from sklearn.datasets import load_sample_image

from l2core import Criterion, least_squares

WIDTH, DEVIATION = 9, 25.0  # pixels of a window; grey levels of noise
rng = np.random.default_rng(0)
mse = Criterion("squared_error")

photo = load_sample_image("china.jpg").mean(axis=-1)[::8]  # every eighth line, float64
photo -= photo.mean()
windows = np.lib.stride_tricks.sliding_window_view(photo, WIDTH, axis=1).reshape(-1, WIDTH)
clean = windows[:, WIDTH // 2]

theory = least_squares(windows, clean, l2=len(clean) * DEVIATION**2).coefficients
predicted = DEVIATION**2 * theory[WIDTH // 2]

noisy_photo = photo + DEVIATION * rng.standard_normal(photo.shape)
noisy = np.lib.stride_tricks.sliding_window_view(noisy_photo, WIDTH, axis=1).reshape(-1, WIDTH)
learned = least_squares(noisy, clean).coefficients  # from noisy examples alone

found = mse(noisy @ theory, clean)
print(f"{len(clean):,} pixels, noise of {DEVIATION:g} grey levels, filters of {WIDTH} pixels")
print(f"mean squared error of the noisy pixel itself   {mse(noisy[:, WIDTH // 2], clean):7.2f}")
print(f"of the mean over 3 pixels                      {mse(noisy[:, 3:6].mean(1), clean):7.2f}")
print(f"of the Wiener filter, as theory predicts       {predicted:7.2f}")
print(f"of the Wiener filter, as found                 {found:7.2f}")
print(f"of the filter learned from noisy examples      {mse(noisy @ learned, clean):7.2f}")
print("Wiener ", *(f"{x:6.3f}" for x in theory))
print("learned", *(f"{x:6.3f}" for x in learned))

# The error of the mean of squares, estimated from lines, which share no noise.
lines = ((noisy @ theory - clean) ** 2).reshape(len(photo), -1).mean(axis=1)
bias = ((windows @ theory - clean) ** 2).reshape(len(photo), -1).mean(axis=1)
error = (lines - bias).std()
if abs(found - predicted) > 4 * error / len(photo) ** 0.5:
    raise SystemExit("the filter's error is not what theory predicts")
