"""The site: `python -m sphinx -c docs . build/docs` in the project's root; it begins at build/docs/index.html.

The root is the source, so that links between docs, examples, README and CONTRIBUTING are the ones that the repository's
host shows, and each of them is checked. Nothing is fetched.
"""

from __future__ import annotations

from xrun import __version__

project = "xrun"
version = release = __version__
language = "en"

root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "docs/**", "examples/*/README.md"]
exclude_patterns = [".*", "build", "xrun", "tests", "benchmarks", "scripts", "docs/decisions/0000-template.md"]

extensions = ["myst_parser"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = f"xrun {version}"
html_extra_path = ["site"]
html_copy_source = False
html_show_sphinx = False
