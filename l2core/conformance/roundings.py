"""How often each loss rounds: relative errors of half an ULP each, of what sizes.py says it rounds."""

LIBRARY = 16
"""Units u, i.e. 8 ULP, of error of exp, log, log1p, sinh or tanh in float32. The largest seen, over
400,000 points each: NumPy 2.7 ULP, PyTorch 1.5, XLA 6.1 (sinh), Eigen 5.2 (tanh, which its source
calls "accurate up to a couple of ulp"); glibc's manual ("Known Maximum Errors") lists at most 2."""

RHO_ROUNDINGS = {
    "SquaredError": 1,  # r * r
    "HalfSquaredError": 2,  # the half too, in case it does not scale exactly
    "AbsoluteError": 0,
    "Huber": 5,  # delta's rounding; delta |r| and delta**2 / 2 and their difference, twice rho each
    "SmoothL1": 6,  # beta's rounding, 1 / beta, and as for Huber
    "LogCosh": 3 * LIBRARY + 5,  # sinh**2, log1p; or exp, log1p and two sums, log 2 rounded
    "Quantile": 2,  # 1 - q, and a product
    "Expectile": 3,  # 1 - tau, and two products
    "GaussianNLL": 2 * LIBRARY + 9,  # log or exp, eps, r**2, /, +, the half, the constant, beta
    "LaplaceNLL": LIBRARY + 5,  # 2 scale, its log, 1 / scale, a product and a sum
    "StudentTNLL": 3 * LIBRARY + 40,  # w**2, log1p, log; a product of ten ratios, its log, a series
    "Cauchy": 2 * LIBRARY + 14,  # w**2 (5), log1p, log, a ratio, products
    "Tukey": 40,  # t**2 (5) in a polynomial that is three times as large as its value
    "Barron": 4 * LIBRARY + 40,  # w**2 (9), log1p, log; exp, a series of 8 terms
    "BarronNLL": 5 * LIBRARY + 120,  # the same, and another of 60
}
PSI_ROUNDINGS = {
    "SquaredError": 1,
    "HalfSquaredError": 1,
    "AbsoluteError": 0,
    "Huber": 1,  # delta's rounding
    "SmoothL1": 3,  # beta's rounding, 1 / beta, a product
    "LogCosh": LIBRARY,
    "Quantile": 2,
    "Expectile": 3,
    "GaussianNLL": 2 * LIBRARY + 6,  # eps, r / v, the half that comes and goes; exp, beta
    "LaplaceNLL": 3,
    "StudentTNLL": 24,  # w**2, a root, ratios
    "Cauchy": 14,
    "Tukey": 12,
    "Barron": 3 * LIBRARY + 30,
    "BarronNLL": 3 * LIBRARY + 30,
}
CURVATURE_ROUNDINGS = {
    "LogCosh": 3 * LIBRARY + 5,  # 1 - tanh**2 in the sense of sech**2: exp, a square, a quotient
    "GaussianNLL": 2 * LIBRARY + 6,
    "SmoothL1": 2,
    "Expectile": 2,
    "LaplaceNLL": 1,
    "StudentTNLL": 30,
    "Cauchy": 24,
    "Tukey": 20,
    "Barron": 3 * LIBRARY + 40,
    "BarronNLL": 3 * LIBRARY + 40,
}
