"""How Sphinx builds the documentation: `nox -s docs`."""

from __future__ import annotations

from importlib import metadata

project = "inventory-sources"
author = "the inventory-sources authors"
release = metadata.version("inventory-sources")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}

html_theme = "furo"
html_title = f"inventory-sources {release}"
