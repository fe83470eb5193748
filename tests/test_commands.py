"""`l2core explain` from files of every kind; nothing in them runs."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from l2core import files
from l2core.explanation.command import main

RNG = np.random.default_rng(3)
PRED, TARGET = RNG.standard_normal((2, 50))
WEIGHT = RNG.uniform(0.5, 2, 50)
MEAN = float(np.mean((PRED - TARGET) ** 2))
WEIGHTED = float(np.average((PRED - TARGET) ** 2, weights=WEIGHT))


@pytest.fixture
def folder(tmp_path):
    """The same arrays in files of every kind."""
    import torch

    np.save(tmp_path / "p.npy", PRED)
    np.savez(tmp_path / "all.npz", p=PRED, t=TARGET, w=WEIGHT)
    columns = np.stack([PRED, TARGET, WEIGHT], axis=1)
    np.savetxt(
        tmp_path / "all.csv", columns, delimiter=",", header="p,t,w", comments="", fmt="%.17g"
    )
    np.savetxt(tmp_path / "t.csv", TARGET, fmt="%.17g")
    named = {"p": torch.tensor(PRED), "t": torch.tensor(TARGET), "step": 3}
    torch.save(named, tmp_path / "all.pt")
    torch.save(torch.tensor(TARGET), tmp_path / "t.pth")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("p.npy", PRED),
        ("all.npz:w", WEIGHT),
        ("all.csv:t", TARGET),
        ("t.csv", TARGET),
        ("all.pt:p", PRED),
        ("t.pth", TARGET),
    ],
)
def test_files(folder, name, expected):
    np.testing.assert_array_equal(np.asarray(files.read(str(folder / name), "x")), expected)


def test_files_of_tools_that_are_optional(folder):
    """.parquet and .safetensors, where pyarrow and safetensors are; else one sentence."""
    for ending, module in ((".parquet", "pyarrow"), (".safetensors", "safetensors")):
        path = folder / f"all{ending}"
        try:
            written(path)
        except ImportError:
            path.touch()
            with pytest.raises(
                ImportError, match=rf"^{module}: expected to be installed \(pip ins"
            ):
                files.read(f"{path}:p", "x")
        else:
            np.testing.assert_array_equal(files.read(f"{path}:p", "x"), PRED)


def written(path):
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"p": PRED, "t": TARGET}), path)
    else:
        from safetensors.numpy import save_file

        save_file({"p": PRED, "t": TARGET}, path)


class Evil:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_nothing_is_executed(folder, monkeypatch):
    monkeypatch.chdir(folder)
    import torch

    np.save("evil.npy", np.array([Evil()], dtype=object))
    np.savez("evil.npz", x=np.array([Evil()], dtype=object))
    (folder / "evil.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"x": Evil()}, "evil.pth")
    for name in ("evil.npy", "evil.npz", "evil.pt", "evil.pth"):
        with pytest.raises(ValueError, match=r"^--pred: expected arrays in 'evil\.[a-z]+', got: "):
            files.read(name, "--pred")
    assert not (folder / "evil").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("p;t\n0,5;0,3\n", "3 fields|commas part"),
        ("p\n0,5\n0,7\n", "2 fields in line 2, 1 in the first"),
        ("p,t\n1,0.5,0.4\n", "3 fields in line 2, 2 in the first"),
        ("1,2\n3,4,5\n", "3 fields in line 2"),
        ("0\n0.5\n0.7\n", "'0' as the first line: give the columns names"),
        (",0\n0,0.5\n", "',0' as the first line"),
        ("x,x\n1,2\n", "a name that stands there twice"),
        ("a,0.5\nb,0.7\n", "names and numbers in the first line"),
        ("p,t\n", "names alone"),
    ],
)
def test_csv_is_never_guessed_at(tmp_path, text, says):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"^--pred: expected arrays in 'a\.csv', got: .*({says})"):
        files.read(f"{tmp_path}/a.csv:p", "--pred")


def test_csv_with_holes_and_labels(tmp_path):
    (tmp_path / "a.csv").write_text("p,who\n1,x\n,y\n3,\n", encoding="utf-8")
    np.testing.assert_array_equal(files.read(f"{tmp_path}/a.csv:p", "x"), [1, np.nan, 3])
    assert files.read(f"{tmp_path}/a.csv:who", "--by", labels=True).tolist() == ["x", "y", ""]
    with pytest.raises(ValueError, match=r"^--pred: expected numbers in '.*', got 'x'"):
        files.read(f"{tmp_path}/a.csv:who", "--pred")
    (tmp_path / "b.csv").write_text("p\n1\n\n3\n\n", encoding="utf-8")
    np.testing.assert_array_equal(files.read(f"{tmp_path}/b.csv", "x"), [1, np.nan, 3])
    np.savez(tmp_path / "c.npz", **{"a:b": PRED})
    np.testing.assert_array_equal(files.read(f"{tmp_path}/c.npz:a:b", "x"), PRED)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none.npy", r"expected a file, got "),
        ("bad.txt", r"expected one of \.npy, .*, got "),
        ("all.npz", r"expected all\.npz:key of one of p, t, w, got none"),
        ("all.csv:x", r"expected all\.csv:key of one of p, t, w, got 'x'"),
        ("p.npy:x", r"expected no key for one array in 'p\.npy', got 'x'"),
        ("empty.csv", r"expected arrays in 'empty\.csv', got: an empty file"),
    ],
)
def test_files_that_are_wrong(folder, name, text):
    (folder / "bad.txt").touch()
    (folder / "empty.csv").touch()
    with pytest.raises(ValueError, match=f"^--mask: {text}"):
        files.read(str(folder / name), "--mask")


def test_explain_as_a_command(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    arrays = ["--pred", "p.npy", "--target", "all.csv:t"]
    assert main(["--value", f"{MEAN:.5f}", *arrays]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{MEAN:.5f} is the mean squared error")
    assert "torch.nn.functional.mse_loss(pred, target)" in printed
    assert main(["--value", "-7e-9", *arrays]) == 1
    assert "-7e-9: none of" in capsys.readouterr().out
    assert main(["--value", "77.123", *arrays]) == 1
    assert "none of" in capsys.readouterr().out
    both = ["--value", f"{MEAN:.5f}", "--other", f"{WEIGHTED:.5f}", "--weight", "all.npz:w"]
    assert main([*both, *arrays, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["matches"][0]["parts"]["weights"] == "weights ignored"
    assert found["other"]["matches"][0]["words"] == "mean squared error over the sum of weights"
    assert main(["--value", "x", *arrays]) == 2
    assert capsys.readouterr().err == (
        "l2core explain: value: expected the digits of a number, got 'x'\n"
    )
    with pytest.raises(SystemExit) as stopped:
        main(["--value", "1"])
    assert stopped.value.code == 2


def test_the_command_names_its_commands(folder):
    run = [sys.executable, "-m", "l2core"]
    told = subprocess.run([*run, "--help"], check=True, capture_output=True, text=True).stdout
    assert "explain" in told
    arrays = ["--pred", "p.npy", "--target", "all.pt:t"]
    run += ["explain", "--value", f"{MEAN:.6f}", *arrays]
    done = subprocess.run(run, check=True, capture_output=True, text=True, cwd=folder)
    assert done.stdout.startswith(f"{MEAN:.6f} is the mean squared error")


def test_what_is_missing_is_one_sentence(folder, capsys, monkeypatch):
    """Without rich the command names what installs it; JSON needs none."""
    monkeypatch.setitem(sys.modules, "rich", None)
    for name in [m for m in sys.modules if m.startswith("rich.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.chdir(folder)
    arrays = ["--value", f"{MEAN:.5f}", "--pred", "p.npy", "--target", "all.csv:t"]
    assert main(arrays) == 2
    assert "pip install 'l2core[commands]'" in capsys.readouterr().err
    assert main([*arrays, "--json"]) == 0
