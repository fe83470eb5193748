"""What the pages of docs/ say is true: their code runs and prints what their comments say.

The blocks of Python of a page run one after another in one process, as one reads them; a block of
``text`` is what they print there. The blocks of ``sh`` run after them, in the directory where those left
their files.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
sys.path.append(str(DOCS / "ext"))
import made

PAGES = {
    path.relative_to(DOCS).with_suffix("").as_posix(): re.findall(
        r"^```(python|sh|text)\n(.*?)^```",
        path.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    for path in sorted(DOCS.rglob("*.md"))
}
INSTALLS = ("git ", "make ", "pip ")
"""How a line starts that sets up an environment, which these tests run in."""


@pytest.mark.docs
@pytest.mark.parametrize("page", [page for page, blocks in PAGES.items() if blocks])
def test_page_prints_what_its_comments_say(page, tmp_path):
    code = "\n".join(text for language, text in PAGES[page] if language == "python")
    lines = [
        line
        for language, text in PAGES[page]
        for line in (text.replace("\\\n", "").splitlines() if language == "sh" else ())
        if not line.startswith(INSTALLS)
    ]
    (tmp_path / "page.py").write_text(code, encoding="utf-8")
    environment = {"KERAS_BACKEND": "tensorflow", **os.environ, "PYTHONIOENCODING": "utf-8"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    def run(*command, answers=(0,)):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            env=environment,
            check=False,
        )
        assert done.returncode in answers, done.stderr[-3000:]
        return done.stdout

    promised = [
        line
        for language, text in PAGES[page]
        for line in (
            text.splitlines()
            if language == "text"
            else re.findall(r"^ *print\(.*\)  # (.*)$", text, re.MULTILINE)
        )
    ]
    printed = [line.rstrip() for line in run(sys.executable, "page.py").splitlines()]
    assert printed == promised
    for line in lines:
        # 1 is an answer of our commands: nothing fits, or there is something to suggest.
        run("bash", "-ec", line, answers=(0, 1) if line.startswith("l2core ") else (0,))


def test_a_table_says_whether_the_code_has_changed():
    assert "changed" not in made.marked(made.stamp("make it"))
    assert "changed since" in made.marked("Made by `make it` on a day with it; code 0123456789ab.")


def test_code_is_what_it_does():
    one, other = '"""A."""\nx = 1', '"""B."""\n\nx = 1  # as it was\n'
    assert made.bare(one) == made.bare(other) != made.bare('"""A."""\nx = 2')


@pytest.mark.parametrize(
    "table", ["bench", "capabilities", "clients", "conformance", "hessians", "small", "splits"]
)
def test_a_table_says_when_and_of_what_it_was_made(table):
    text = (DOCS / "tables" / f"{table}.md").read_text(encoding="utf-8")
    assert len(made.LINE.findall(text)) == 1
    assert "Traceback" not in text
