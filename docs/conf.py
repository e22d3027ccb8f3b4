import slangmod

project = "slangmod"
author = "The slangmod authors"
copyright = "2026, The slangmod authors"
release = slangmod.__version__
version = release

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
nitpicky = False
html_theme = "alabaster"
html_theme_options = {
    "description": "From raw text to a trained language model you can talk to",
    "fixed_sidebar": True,
    "page_width": "1060px",
}
html_static_path = ["_static"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
