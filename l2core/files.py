"""Arrays from files. Nothing in a file is ever executed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from l2core.extras import require

EXTRA = "files"


def read(path: str, name: str, labels: bool = False) -> Any:
    """The array in a file, of which ``name`` is the argument: ``data.npz:key`` names one of several.

    Numbers, or with ``labels`` texts too. .npy (mapped into memory, not read), .npz, .csv, .parquet (pyarrow), .pt and .pth (PyTorch, tensors
    alone), .safetensors. A key is that of an array, a column, or a tensor. ValueError for what is no
    file, has another ending, or holds several arrays and no key was given.
    """
    file, key = _split(path)
    if not file.is_file():
        raise ValueError(f"{name}: expected a file, got {path!r}")
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise ValueError(f"{name}: expected one of {', '.join(READERS)}, got {path!r}")
    try:
        found = reader(file, key)
    except ImportError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{name}: expected arrays in {file.name!r}, got: {first}") from error
    found = _chosen(found, key, file, name)
    if not labels and isinstance(found, np.ndarray) and found.dtype.kind in "USO":
        text = next((x for x in found.ravel().tolist() if not _number(str(x))), found.ravel()[0])
        raise ValueError(f"{name}: expected numbers in {path!r}, got {text!r}")
    return found


def _chosen(found: Any, key: str | None, file: Path, name: str) -> Any:
    if not isinstance(found, Mapping):
        if key is not None:
            raise ValueError(f"{name}: expected no key for one array in {file.name!r}, got {key!r}")
        return found
    if key is None and len(found) == 1:
        return next(iter(found.values()))
    if key not in found:
        known = ", ".join(map(str, found)) or "none at all"
        asked = "none" if key is None else repr(key)
        raise ValueError(f"{name}: expected {file.name}:key of one of {known}, got {asked}")
    return found[key]


def _split(path: str) -> tuple[Path, str | None]:
    """The file, and the key behind its last colon if the whole is no file."""
    if not Path(path).is_file():
        for k, mark in enumerate(path):
            if mark == ":" and Path(path[:k]).is_file():
                return Path(path[:k]), path[k + 1 :]
    return Path(path), None


def _npy(file: Path, key: str | None) -> Any:
    return np.load(file, mmap_mode="r", allow_pickle=False)


def _npz(file: Path, key: str | None) -> Any:
    with np.load(file, allow_pickle=False) as found:
        wanted = found.files if key is None or key not in found.files else [key]
        return {name: found[name] if len(wanted) == 1 else None for name in wanted}


def _csv(file: Path, key: str | None) -> Any:
    """Columns, with a first line of names or without; an empty field is NaN, text stays text."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.reader(lines))
    while rows and not rows[-1]:
        rows.pop()
    if not rows:
        raise ValueError("an empty file")
    width = len(rows[0])
    for k, row in enumerate(rows, 1):
        if not row and width == 1:
            row.append("")
        if len(row) != width:
            raise ValueError(f"{len(row)} fields in line {k}, {width} in the first")
    first = rows[0]
    if any(mark in x for x in first for mark in ";\t"):
        raise ValueError(f"{first[0]!r} in the first line, where commas part the fields")
    numbers = sum(map(_number, first))
    if first in ([str(k) for k in range(width)], ["", *(str(k) for k in range(width - 1))]):
        raise ValueError(f"{','.join(first)!r} as the first line: give the columns names")
    if 0 < numbers < width and any(x.strip() and not _number(x) for x in first):
        raise ValueError("names and numbers in the first line")
    if numbers == width:
        table = np.array([[float(x or "nan") for x in row] for row in rows])
        if key is None:
            return table[:, 0] if width == 1 else table
        return {str(k): table[:, k] for k in range(width)}
    if len(set(first)) < width:
        raise ValueError("a name that stands there twice")
    if len(rows) == 1:
        raise ValueError("names alone")
    return {name: _column([row[k] for row in rows[1:]]) for k, name in enumerate(first)}


def _column(fields: list[str]) -> Any:
    """Numbers, or else texts."""
    if all(map(_number, fields)):
        return np.array([float(x) if x.strip() else np.nan for x in fields])
    return np.array(fields)


def _number(x: str) -> bool:
    try:
        float(x)
    except ValueError:
        return not x.strip()
    return True


def _parquet(file: Path, key: str | None) -> Any:
    parquet = require("pyarrow.parquet", EXTRA)
    names = parquet.read_schema(file).names
    wanted = [key] if key in names else names
    table = parquet.read_table(file, columns=wanted)
    return {name: table[name].to_numpy() for name in wanted}


def _torch(file: Path, key: str | None) -> Any:
    torch = require("torch", "torch")
    found = torch.load(file, map_location="cpu", weights_only=True)
    if isinstance(found, Mapping):
        return {k: x for k, x in found.items() if isinstance(x, torch.Tensor)}
    if not isinstance(found, torch.Tensor):
        raise TypeError(f"a {type(found).__name__}")
    return found


def _safetensors(file: Path, key: str | None) -> Any:
    opened = require("safetensors", EXTRA).safe_open(file, framework="numpy")
    with opened as found:
        names = list(found.keys())
        wanted = [key] if key in names else names
        return {name: found.get_tensor(name) if len(wanted) == 1 else None for name in wanted}


READERS: dict[str, Callable[[Path, str | None], Any]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".csv": _csv,
    ".parquet": _parquet,
    ".pt": _torch,
    ".pth": _torch,
    ".safetensors": _safetensors,
}
