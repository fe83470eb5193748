"""Run by test_streams.py: an evaluation that notes where it is, and goes on from there.

Arguments: the file of its notes, and how many batches it does before it is killed (0: it is not).
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from l2core import ErrorStatistics, evaluate

N, SIZE = 40, 1000


def batch(i):
    rng = np.random.default_rng(i)
    target = 1000 + rng.normal(size=SIZE)
    return target + rng.normal(size=SIZE), target, rng.integers(0, 3, SIZE) / 2.0


def main():
    notes, last = Path(sys.argv[1]), int(sys.argv[2])
    done, state = 0, None
    if notes.exists():
        told = json.loads(notes.read_text(encoding="utf-8"))
        done, state = told["done"], ErrorStatistics.from_json(told["state"])
    for i in range(done, N):
        state = evaluate([batch(i)], state)
        text = json.dumps({"done": i + 1, "state": state.to_json()})
        half = notes.with_suffix(".half")
        half.write_text(text, encoding="utf-8")
        half.replace(notes)  # whole, or not at all
        if last and i + 1 == last:
            half.write_text(text[: len(text) // 2], encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)
    print(state.to_json())


if __name__ == "__main__":
    main()
