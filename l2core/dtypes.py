"""Which dtype a loss is computed in: one table for every framework, by dtype name."""

from __future__ import annotations

from typing import Any

REAL_FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEX_FLOATS = ("complex64", "complex128")
SHORT_INTEGERS = ("bool", "int8", "uint8", "int16", "uint16")
WIDE_INTEGERS = ("int32", "uint32", "int64", "uint64")
LONG_INTEGERS = ("int64", "uint64")
DOUBLES = ("float64", "complex128")
KNOWN = frozenset(SHORT_INTEGERS + WIDE_INTEGERS + REAL_FLOATS + COMPLEX_FLOATS)

# One dict a framework: dtypes of two frameworks must not be compared, nor traced together.
_names: dict[type, dict[Any, str]] = {}


def dtype_name(dtype: Any) -> str:
    """The array standard's name of a framework's dtype: ``torch.float32`` -> ``"float32"``."""
    try:
        return _names[type(dtype)][dtype]
    except KeyError:
        # torch and array-api-strict put the name in str(); NumPy, JAX and TensorFlow in .name.
        name: str = getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]
        return _names.setdefault(type(dtype), {}).setdefault(dtype, name)


def is_complex(x: Any) -> bool:
    """Whether the array has a complex dtype."""
    return dtype_name(x.dtype) in COMPLEX_FLOATS


def compute_dtypes(pred: str, target: str, others: tuple[str, ...], widest: str) -> tuple[str, str]:
    """The dtype of the residual and the (real) dtype of the loss.

    Halves, bools and integers of up to 16 bits count as float32, which holds them exactly; wider
    integers as ``widest``, the widest float of the framework. Weights and variances (``others``)
    widen the result if they are float64; integers among them do not, since they only scale.
    """
    double = any(
        name in DOUBLES or (name in WIDE_INTEGERS and widest == "float64")
        for name in (pred, target)
    ) or any(name in DOUBLES for name in others)
    real = "float64" if double else "float32"
    if pred in COMPLEX_FLOATS or target in COMPLEX_FLOATS:
        return ("complex128" if double else "complex64"), real
    return real, real
