"""The site that `make docs` builds; needs no network.

Sphinx, for it is released several times a year, reads Google's style of
docstrings (napoleon) and Markdown (MyST), and checks references itself.
"""

import importlib.metadata

project = "gradscope"
copyright = "the authors of gradscope"
release = importlib.metadata.version("gradscope")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["gallery.py"]
html_theme = "furo"
html_title = "gradscope"

# Docstrings write code between single backquotes.
default_role = "code"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
# So that a public name stands as users write it.
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
myst_heading_anchors = 3
