"""How the documentation site is built: ``make docs``.

Sphinx reads the docstrings as users of numpy and scikit-image know them (numpydoc), MyST lets the
pages be the Markdown that the repository shows, and sphinx-gallery runs the examples whose pictures
are shown. Every warning is an error.
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_tools"))

from reference_pages import write_training_options  # noqa: E402

import napari_pix2pix  # noqa: E402

project = "napari-pix2pix"
author = "napari-pix2pix contributors"
copyright = f"2026, {author}"
version = release = napari_pix2pix.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_tools", "gallery/**/*.ipynb", "gallery/**/*.py", "gallery/**/*.zip"]
nitpicky = True
suppress_warnings = ["config.cache"]  # sphinx-gallery's objects can't be stored

# Markdown of the repository: links are relative to files, and lead to pages here.
myst_enable_extensions = ["colon_fence", "dollarmath", "substitution"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

# Docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's sections have them
numpydoc_show_class_members = False
intersphinx_mapping: dict[str, tuple[str, None]] = {}  # the site is built without a network

# Examples
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "download_all_examples": False,
    "show_memory": False,
    "reset_argv": lambda *_: [],
    "abort_on_example_error": True,
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "napari-pix2pix"
html_logo = "../napari_pix2pix/icon.png"
html_favicon = "../napari_pix2pix/icon.png"
html_static_path: list[str] = []
html_show_sourcelink = False
html_theme_options = {
    "github_url": "https://github.com/napari-pix2pix/napari-pix2pix",
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
}

# Addresses that answer robots with a refusal, or that exist only after the first release.
linkcheck_ignore = [
    r"https://github\.com/napari-pix2pix/.*",
    r"https://napari-pix2pix\.github\.io/.*",
]

write_training_options(DOCS / "api" / "training-options.md")
