"""Style sheets and scripts of ``_static`` in the order of their names.

Jupyter Book lists them as the file system does (``jupyter_book/config.py``, ``rglob``), so that two copies of one book
were built into different pages, and which of two rules wins was left to chance.
"""

from workshop.sphinx import passes


def sort(app, config):
    for names in (config.html_css_files, config.html_js_files):
        names.sort(key=str)


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
