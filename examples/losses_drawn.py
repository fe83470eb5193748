"""rho, psi and curvature of five losses, drawn to build/losses.png (`--out`)."""

import argparse
from pathlib import Path

from l2core import Cauchy, HalfSquaredError, Huber, Quantile, Tukey, plot

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path("build/losses.png"))
out = parser.parse_args().out
shown = HalfSquaredError(), Huber(1.0), Cauchy(1.0), Tukey(2.5), Quantile(0.8)
out.parent.mkdir(parents=True, exist_ok=True)
plot.losses(*shown, width=4.0).savefig(out, dpi=120)
print(f"wrote {out}")
