"""A failure as code that anybody can run: the calls that it took, with nothing of this suite."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from l2core.conformance.harness import NumpyArray
from l2core.conformance.subjects import dotted_names
from l2core.conformance.trial import Call, Failure, Trial

LONG = 20
"""Arrays beyond this length are written as expressions."""


def snippet(trial: Trial, failure: Failure) -> str:
    """The last calls of a trial (at most three), and what came of them, as a script."""
    calls = trial.calls[-3:]
    lines: list[str] = []
    for call in calls:
        lines += _call(trial, call)
    script = "\n".join(lines)
    head = [trial.harness.writing.imports, *_imports(trial, script)]
    if "np." in script and not any("numpy as np" in line for line in head):
        head.insert(0, "import numpy as np")
    tail = [f"# {failure.message}"]
    if failure.observed:
        tail += [f"# observed: {failure.observed}", f"# expected: {failure.expected}"]
    return "\n".join([*head, "", *lines, *tail]) + "\n"


def _imports(trial: Trial, script: str) -> list[str]:
    """Imports for the code that makes the callables: modules, and names of the core."""
    import l2core

    have = trial.harness.writing.imports
    roots = {path.partition(".")[0] for call in trial.calls for path in _paths(call.claim.code)}
    core = sorted(name for name in roots if name in l2core.__all__)
    modules = sorted(
        {_module(call.claim.code, root) for call in trial.calls for root in roots} - {""}
    )
    found = [f"import {m}" for m in modules if f"import {m}" not in have.splitlines()]
    return [*found, *([f"from l2core import {', '.join(core)}"] if core else [])]


def _paths(code: str) -> list[str]:
    try:
        return list(dotted_names(code))
    except SyntaxError:  # a callable that has no name
        return []


def _module(code: str, root: str) -> str:
    """The longest importable path in the code that begins with this name."""
    from importlib.util import find_spec

    import l2core

    if root in l2core.__all__ or hasattr(builtins, root):
        return ""
    best = ""
    for path in _paths(code):
        parts = path.split(".")
        if parts[0] != root:
            continue
        for depth in range(1, len(parts) + 1):
            name = ".".join(parts[:depth])
            try:
                if find_spec(name) is None:
                    break
            except (ModuleNotFoundError, ValueError):
                break
            best = max(best, name, key=len)
    return best


def _call(trial: Trial, call: Call) -> list[str]:
    writing = trial.harness.writing
    case = call.case
    given: dict[str, Any] = {"pred": case.pred, "target": case.target, **case.others}
    lines = [f"loss = {call.claim.code}"]
    for name, x in given.items():
        dtype = case.dtype if name in ("pred", "target") else None
        code = case.code if name == "pred" and case.code else None
        lines.append(f"{name} = {_array(trial, x, dtype, code)}")
    if call.note:
        lines.append(f"# {call.note}")
    positional, named = trial.subject.arguments({name: name for name in given})
    arguments = ", ".join([*positional, *(f"{k}={v}" for k, v in named.items())])
    expression = f"loss({arguments})"
    if call.kind in writing.features:
        if "tangent" in writing.features[call.kind]:
            shape = case.pred.shape
            lines.append(
                f"tangent = {_array(trial, np.resize([1.0, -0.5, 2.0], shape), case.dtype, None)}"
            )
        return [*lines, f"print({writing.features[call.kind].format(call=expression)})"]
    if call.mode in writing.modes:
        expression = writing.modes[call.mode].format(call=expression)
    if call.factor is not None:
        expression = f"({expression} * {call.factor})"
    if call.kind == "gradient":
        text = writing.gradient.format(call=expression, wrt=call.wrt, arguments=arguments)
        return [*lines, *text.splitlines()]
    return [*lines, f"print({expression})"]


def _array(trial: Trial, x: Any, dtype: str | None, code: str | None) -> str:
    if not isinstance(x, np.ndarray):
        return repr(x)
    name = dtype or x.dtype.name
    data = code or written(x)
    return trial.harness.writing.array.format(data=data, dtype=name)


def written(x: NumpyArray) -> str:
    """A NumPy array as nested lists, or as an expression if it is long."""
    if x.size > LONG and len(np.unique(x)) == 1:
        return f"np.full({x.shape}, {_number(x.ravel()[0])})"
    if x.size == 0 and x.ndim > 1:
        return f"np.zeros({x.shape})"
    if x.ndim == 0:
        return _number(x[()])
    return "[" + ", ".join(_number(v) if x.ndim == 1 else written(v) for v in x) + "]"


def _number(v: Any) -> str:
    """The shortest decimal that is this number in its own dtype."""
    if v.dtype.kind in "fc":
        text = str(v)
        for word in ("nan", "inf"):
            if word in text:
                return text.replace(word, f'float("{word}")')
        return text if v.dtype.kind == "c" else repr(float(text))
    return repr(v.item())
