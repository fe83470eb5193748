"""Data and expectations for tests of correctly rounded values: the same on any machine."""

import hashlib

import numpy as np

from l2core import reference_arrays
from l2core.exact import rounded


def mixed(n, seed):
    """Integers that are the same on any machine, well mixed."""
    x = (np.arange(n, dtype=np.uint64) + np.uint64(1 + 7919 * seed)) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(29)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    return x ^ (x >> np.uint64(32))


def uniform(n, seed):
    """In [0, 1), of 53 bits."""
    return (mixed(n, seed) >> np.uint64(11)) * 2.0**-53


def ordinary(n, seed, dtype):
    return (4 * uniform(n, seed) - 2).astype(dtype)


def wild(n, seed, dtype):
    """Of exponents from 2^-30 to 2^30."""
    scale = np.ldexp(1.0, (mixed(n, seed + 50) % np.uint64(61)).astype(int) - 30)
    return (ordinary(n, seed, np.float64) * scale).astype(dtype)


def whole(n, seed, dtype):
    return (mixed(n, seed) % np.uint64(4097)).astype(dtype)


def tied(dtype):
    """Means that lie between two floats, and just beside: 2^12 + 1 squared has 25 bits."""
    big = 2.0**12 + 1 if dtype == "float32" else 2.0**26 + 1
    yield np.full(8, big), np.zeros(8)
    yield np.full(8, big + 2), np.zeros(8)
    for tiny in (2.0**-20, 2.0**-60):
        first = np.arange(8) == 3
        yield np.where(first, tiny, big), np.zeros(8)
        yield np.full(8, big), tiny * first
        yield np.full(8, big), -tiny * first


def cases(dtype):
    """pred, target, and arguments by name."""
    for k, (make, n) in enumerate([(ordinary, 64), (wild, 64), (whole, 64), (wild, 201)]):
        p, t = make(n, k, dtype), make(n, k + 10, dtype)
        weight = np.abs(make(n, k + 20, dtype)) * (mixed(n, k) % np.uint64(5) != 0)
        weight = weight.astype(dtype)
        mask = mixed(n, k + 30) % np.uint64(3) != 0
        yield p, t, {}
        yield p, t, {"weight": weight}
        yield p, t, {"mask": mask}
        yield p, t, {"weight": weight, "mask": mask}
    for p, t in tied(dtype):
        yield p.astype(dtype), t.astype(dtype), {}
        yield p.astype(dtype), t.astype(dtype), {"weight": np.full(p.shape, 0.7, dtype)}
    near = wild(64, 5, dtype)
    yield near, np.nextafter(near, np.inf, dtype=dtype), {}
    yield near, near, {}
    yield near, -near, {"weight": -np.abs(near)}


def oracle(loss, p, t, dtype, **options):
    found = reference_arrays.value(type(loss).__name__, {}, p, t, **options)
    return np.vectorize(lambda x: rounded(x, dtype), otypes=[dtype])(found)


def same(found, wanted):
    found, wanted = (np.asarray(x) for x in (found, wanted))
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    assert np.array_equal(found, wanted, equal_nan=True), (found, wanted)


def corpus(dtype):
    for k in range(12):
        n = (3, 50, 1000, 20_011)[k % 4]
        make = (ordinary, wild, whole)[k % 3]
        weight = np.abs(ordinary(n, k + 80, dtype)) if k % 2 else None
        yield make(n, k, dtype), make(n, k + 40, dtype), weight


def digest(values):
    return hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in values)).hexdigest()


DIGESTS = {
    "float32": "ae8e3d322aef325419f1c30515fd0820d3bbc84b13025d688f1e8b6331385479",
    "float64": "b89b206251cdabc6e4789dd0ecc0cb9b6dd27d42ab435bdb43fd21fb3f574648",
}
"""SHA-256 of the values over the corpus, whatever computes them."""
COMPILED = "5cfc74b0560d941e829cd2580694ee9186c6d6de492c33ddf9c22de62bbd9779"
"""That of the first four in float32."""
