"""Arrays from files. Nothing in a file is ever executed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from l2core.extras import require

EXTRA = "files"


def read(path: str, name: str) -> Any:
    """The array in a file, of which ``name`` is the argument: ``data.npz:key`` names one of several.

    .npy (mapped into memory, not read), .npz, .csv, .parquet (pyarrow), .pt and .pth (PyTorch, tensors
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
    if not isinstance(found, Mapping):
        if key is not None:
            raise ValueError(f"{name}: expected no key for one array in {file.name!r}, got {key!r}")
        return found
    if key is None and len(found) == 1:
        return next(iter(found.values()))
    if key not in found:
        known = ", ".join(map(str, found))
        asked = "none" if key is None else repr(key)
        raise ValueError(f"{name}: expected {file.name}:key of one of {known}, got {asked}")
    return found[key]


def _split(path: str) -> tuple[Path, str | None]:
    """The file, and the key behind its last colon if the whole is no file."""
    file, colon, key = path.rpartition(":")
    if colon and not Path(path).is_file() and Path(file).suffix:
        return Path(file), key
    return Path(path), None


def _npy(file: Path, key: str | None) -> Any:
    return np.load(file, mmap_mode="r", allow_pickle=False)


def _npz(file: Path, key: str | None) -> Any:
    with np.load(file, allow_pickle=False) as found:
        wanted = found.files if key is None or key not in found.files else [key]
        return {name: found[name] if len(wanted) == 1 else None for name in wanted}


def _csv(file: Path, key: str | None) -> Any:
    """Numbers in columns, with a first line of names or without; an empty field is NaN."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = [row for row in csv.reader(lines) if row]
    if not rows:
        raise ValueError("an empty file")
    named = any(not _number(x) for x in rows[0])
    names = rows[0] if named else [str(k) for k in range(len(rows[0]))]
    body = rows[1:] if named else rows
    columns = {
        name: np.array([float(row[k]) if row[k].strip() else np.nan for row in body])
        for k, name in enumerate(names)
        if all(_number(row[k]) for row in body)
    }
    if key is None and not named:
        return np.stack(list(columns.values()), axis=1) if len(columns) > 1 else columns["0"]
    return columns


def _number(x: str) -> bool:
    try:
        float(x or "nan")
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
