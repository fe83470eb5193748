"""Makes the table of ``l2core/losses/normaliser.py``: ``python tests/support/barron.py`` prints it.

log Z by trapezoids in 50 digits, in the variable y of u = sqrt|alpha - 2| sinh y, in which 1 +
u²/|alpha - 2| is cosh² y and nothing is singular within π/4 of the real axis.
"""

import mpmath as mp

DIGITS, STEP = 50, 32
TOLERANCE = 1e-15


def log_z(alpha):
    with mp.workdps(DIGITS):
        a = mp.mpf(alpha)
        b = abs(a - 2)
        if b == 0:
            return mp.log(2 * mp.pi) / 2

        def f(y):
            cosh = mp.cosh(y)
            log = mp.log(cosh)
            rho = b * log if a == 0 else b / a * mp.expm1(a * log)
            return cosh * mp.exp(-rho)

        h = 1 / (STEP * max(mp.mpf(1), mp.sqrt(b)))
        total, last, k = f(0) / 2, mp.mpf(1), 0
        while last > total * mp.mpf(10) ** -42:
            k += 1
            last = f(k * h)
            total += last
        return mp.log(2 * mp.sqrt(b) * total * h)


def series(f, low, high, tolerance):
    """Chebyshev coefficients of f on an interval, up to the last that is larger than tolerance."""
    n = 80
    angles = [mp.pi * (k + mp.mpf(1) / 2) / n for k in range(n)]
    values = [f((high - low) / 2 * mp.cos(x) + (high + low) / 2) for x in angles]
    found = [
        (2 if j else 1)
        * mp.fsum(v * mp.cos(j * x) for v, x in zip(values, angles, strict=True))
        / n
        for j in range(n)
    ]
    return found[: 1 + max(j for j, c in enumerate(found) if abs(c) > tolerance)]


def tables():
    with mp.workdps(DIGITS):
        constant = mp.log(2 * mp.pi) / 2

        def rest(sign):
            def f(t):
                b = t**6
                return (log_z(2 + sign * b) - constant) / b - sign * mp.log(b) / 4

            return f

        functions = {
            "LOW": log_z,
            "BELOW": rest(-1),
            "ABOVE": rest(1),
            "FAR": lambda x: log_z(2 + 1 / x),
        }
        return {name: series(f, mp.mpf(0), mp.mpf(1), TOLERANCE) for name, f in functions.items()}


if __name__ == "__main__":
    for name, found in tables().items():
        print(f"{name} = (")
        for x in found:
            print(f"    {float(x)!r},")
        print(")")
