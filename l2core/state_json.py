"""A state of named arrays as JSON, exactly: of statistics, so that an evaluation goes on elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from l2core.arrays import Array
from l2core.backend import Backend, backend_of
from l2core.compensated import Sum
from l2core.config import check_keys
from l2core.dtypes import dtype_name
from l2core.exact_errors import ExactErrors
from l2core.numpy_backend import NUMPY
from l2core.sketch import BINS

VERSION = 1
SKETCH = "bins"
"""What may be absent, and is mostly zeros."""
EXACT = "exact"
"""What is there of exact statistics alone."""
EXTREMES = ("least", "greatest")
"""What is a number, where all others are sums in two parts."""


def dumped(state: Mapping[str, Any], exact: ExactErrors | None = None) -> str:
    """The arrays and sums (None: absent) as a text; of one shape, all but the sketch and exact sums."""
    present = {name: x for name, x in state.items() if x is not None}
    first = next(iter(present.values()))
    array = first.value if isinstance(first, Sum) else first
    backend = backend_of(array, "ErrorStatistics")
    found: dict[str, Any] = {
        "version": VERSION,
        "shape": list(array.shape),
        "dtype": dtype_name(array.dtype),
    }
    found.update(dict.fromkeys(state.keys() - present.keys()))
    for name, x in present.items():
        host = _host(x, backend)
        if name == SKETCH:
            found[name] = {"dtype": host.value.dtype.name, "held": [_held(y) for y in host]}
        else:
            found[name] = [_numbers(y) for y in host] if isinstance(host, Sum) else _numbers(host)
    if exact is not None:
        found[EXACT] = exact.told(backend.numpy)
    import json  # not above: half of the time that importing this room would take

    return json.dumps(found, allow_nan=False)


def loaded(text: str, names: tuple[str, ...], like: Array | None) -> dict[str, Any]:
    """The state of these names, as :func:`dumped` wrote it, in arrays like this one."""
    import json

    try:
        told: Mapping[str, Any] = dict(json.loads(text))
    except (TypeError, ValueError) as error:
        raise ValueError(f"text: expected JSON of ErrorStatistics, got {error}") from None
    check_keys("text", told, ("version", "shape", "dtype", *names, EXACT))
    if told.get("version") != VERSION:
        raise ValueError(f"version: expected {VERSION}, got {told.get('version')!r}")
    missing = [name for name in ("shape", *names) if name not in told]
    if missing:
        raise ValueError(f"{missing[0]}: expected it in JSON of ErrorStatistics, got none")
    backend = NUMPY if like is None else backend_of(like, "like")
    dtype = np.dtype("float64" if like is None else backend.widest_of(like))
    try:
        shape = tuple(int(n) for n in told["shape"])
        made = {name: _read(name, told[name], shape, dtype) for name in names if name != SKETCH}
        sketch = told[SKETCH]
        made[SKETCH] = None if sketch is None else _bins(sketch, shape, dtype)
        near = np.zeros(()) if like is None else like
        exact = None
        if EXACT in told:
            with backend.integers.wide():
                exact = ExactErrors.from_told(
                    told[EXACT], shape, lambda x: backend.constant(x, near)
                )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"text: expected a state as to_json gives it, got {error!r}") from None

    def placed(x: Any) -> Any:
        if isinstance(x, Sum):
            return Sum(*(placed(y) for y in x))
        return None if x is None else backend.constant(x, near)

    return {name: placed(x) for name, x in made.items()} | {EXACT: exact}


def _host(x: Any, backend: Backend) -> Any:
    if isinstance(x, Sum):
        return Sum(*(np.asarray(backend.numpy(y)) for y in x))
    return np.asarray(backend.numpy(x))


def _numbers(x: np.ndarray[Any, Any]) -> list[Any]:
    """Floats in full, which JSON knows, and those that it does not by name."""
    each = x.astype(np.float64).reshape(-1).tolist()
    return [y if np.isfinite(y) else repr(y) for y in each]


def _held(x: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Where there is anything, and what."""
    flat = x.reshape(-1)
    (index,) = flat.nonzero()
    values = flat[index]
    whole = values.dtype.kind in "iu"
    return {
        "length": x.shape[-1],
        "index": index.tolist(),
        "value": values.tolist() if whole else _numbers(values),
    }


def _read(name: str, told: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    if name in EXTREMES:
        return _array(told, shape, dtype)
    value, lost = told
    return Sum(_array(value, shape, dtype), _array(lost, shape, dtype))


def _array(told: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if not isinstance(told, list):
        raise TypeError(f"expected a list of numbers, got {told!r}")
    return np.array([float(y) for y in told], np.float64).reshape(shape).astype(dtype)


def _bins(told: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Sum:
    """Integers as such where the device has 64 bits; else in floats, exactly in two parts."""
    whole = np.dtype(told["dtype"]).kind in "iu"
    value, lost = (_unfolded(held, shape, whole) for held in told["held"])
    if not whole:
        return Sum(value.astype(dtype), lost.astype(dtype))
    if dtype == np.float64:
        return Sum(value, lost)
    near = value.astype(dtype)
    return Sum(near, (value - near.astype(np.int64)).astype(dtype))


def _unfolded(held: Any, shape: tuple[int, ...], whole: bool) -> np.ndarray[Any, Any]:
    length = int(held["length"])
    if length not in (1, BINS):
        raise ValueError(f"expected a length of 1 or {BINS}, got {length}")
    flat = np.zeros((*shape, length), np.int64 if whole else np.float64)
    index, values = held["index"], held["value"]
    if len(index) != len(values) or any(not 0 <= i < flat.size for i in index):
        raise ValueError(
            f"expected {len(index)} values at places below {flat.size}, got {values!r}"
        )
    if index:
        flat.reshape(-1)[index] = [int(y) if whole else float(y) for y in values]
    return flat
