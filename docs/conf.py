"""How the documentation is built: ``make docs``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "ext")]

import house
import pictures

import l2core

project = "l2core"
author = "The l2core developers"
copyright = "The l2core developers, Apache-2.0"
release = version = l2core.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "api",
    "made",
]
exclude_patterns = ["_made", "tables"]
nitpicky = True
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings give shapes and dtypes, which annotations cannot
default_role = "code"

sphinx_gallery_conf = {
    "examples_dirs": ["../examples/recipes"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"\.py$",
    "download_all_examples": False,
    "min_reported_time": 10,
    "only_warn_on_example_error": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
}
suppress_warnings = ["config.cache"]  # sphinx-gallery's functions are not pickled

html_theme = "furo"
html_title = "l2core"
html_static_path = ["_static"]
html_css_files = ["l2core.css"]
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = "%Y-%m-%d"


def draw(app: Sphinx) -> None:
    """The pictures of pages, made anew from the code that they show."""
    made = HERE / "_made"
    made.mkdir(exist_ok=True)
    pictures.draw(made)
    house.draw(made)


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", draw)
