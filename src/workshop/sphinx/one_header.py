"""One header a page, so that the contents open on a phone.

pydata-sphinx-theme 0.17 makes a header above the page even where a theme puts nothing into it, as sphinx-book-theme
1.3 does, and binds the opening of the side bars to the first button of their kind that it finds: those of that header,
which nobody sees, instead of those above the article (pydata-sphinx-theme, ``pydata-sphinx-theme.js``:
``querySelector`` of ``.primary-toggle``). To be deleted once sphinx-book-theme is made for that version.
"""

from pathlib import Path

from workshop.sphinx import passes


def add_templates(app, config):
    config.templates_path = [*config.templates_path, str(Path(__file__).parent / "templates")]


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
