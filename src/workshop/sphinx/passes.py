"""What is done to the book while it is built, in one list and in its order: the only place where a pass is connected.

Sphinx calls the passes of an event by their number, and those of one number in the order in which `_config.yml` loads
their modules; so do the lines below, and a test compares. Most of what Sphinx and the themes do has 500. An extension
connects its own lines: ``setup`` says ``passes.connect(app, __name__)``.
"""

import sys
from typing import NamedTuple


class Pass(NamedTuple):
    event: str
    order: int
    module: str
    function: str
    why: str


PASSES = (
    Pass("config-inited", 500, "one_header", "add_templates", "templates are found when the builder starts"),
    Pass("config-inited", 500, "social_card", "name_it", "opengraph reads the card's address from the configuration"),
    Pass("config-inited", 500, "static_order", "sort", "the order of style sheets is fixed once, before any is added"),
    Pass("builder-inited", 500, "formulas", "write_files", "adds a style sheet: before the builder lists them"),
    Pass("builder-inited", 500, "interactive", "write_files", "the same"),
    Pass("builder-inited", 500, "live", "put_in", "the same"),
    Pass("doctree-read", 400, "page_times", "add_times", "counts cells where they were written: before anatomy"),
    Pass("doctree-read", 500, "anatomy", "shape", "puts cells under veils, tabs and folds"),
    Pass("doctree-read", 500, "glossary_links", "note", "anchors of the glossary's rows"),
    Pass("doctree-read", 500, "verdicts", "name_them", "words of the sources' verdicts"),
    Pass("autodoc-process-signature", 500, "reference", "readable_defaults", "before it is taken apart"),
    Pass("autodoc-skip-member", 500, "reference", "skip_numbered_fields", "asked for each member, by itself"),
    Pass("doctree-resolved", 500, "drawings", "put_in", "before the passes that look through a page's words"),
    Pass("doctree-resolved", 500, "ledger", "add_links", "links of its own come before those of the glossary"),
    Pass("doctree-resolved", 500, "matrix_links", "add_links", "the same"),
    Pass("doctree-resolved", 900, "glossary_links", "add_links", "after every part that adds links"),
    Pass("doctree-resolved", 900, "interactive", "add_blocks", "its words are no prose: after the glossary's links"),
    Pass("doctree-resolved", 950, "formulas", "prepare", "after all that look through a page's words"),
    Pass("doctree-resolved", 950, "live", "mark", "counts cells: after the figures with knobs have replaced some"),
    Pass("html-collect-pages", 500, "not_found", "make_page", "a page without a source"),
    Pass("html-page-context", 400, "social_card", "drop_page_times", "opengraph (500) reads a page's first words"),
    Pass("html-page-context", 500, "figures", "add_sizes", "a change of the body by itself"),
    Pass("html-page-context", 500, "interactive", "add_files", "only on pages with such figures"),
    Pass("html-page-context", 500, "live", "add_files", "only on pages with such cells"),
    Pass("html-page-context", 500, "social_card", "add_fallback_icon", "a tag in the head by itself"),
    Pass("html-page-context", 800, "accessibility", "mend_body", "mends whatever the body has become"),
    Pass("html-page-context", 900, "launch_buttons", "rewrite", "after the theme (501) has made the buttons"),
    Pass("html-page-context", 900, "lean_pages", "leave_out", "after themes and extensions have added their scripts"),
    Pass("build-finished", 500, "figures", "shrink_all", "files of pictures, no page"),
    Pass("build-finished", 500, "formulas", "close", "no formula comes any more"),
    Pass("build-finished", 500, "search_words", "tell_compounds", "Sphinx writes that file before it reads the pages"),
    Pass("build-finished", 500, "social_card", "write", "a file of its own"),
    Pass("build-finished", 800, "accessibility", "mend_pages", "before lean_pages rewrites the theme's HTML"),
    Pass("build-finished", 900, "lean_pages", "make_lean", "after all that write pages or scripts"),
    Pass("build-finished", 950, "not_found", "begin_at_the_root", "makes the addresses of one lean page absolute"),
)


def connect(app, name):
    """Connect the passes of one module of this package; ``name``: its ``__name__``."""
    module = sys.modules[name]
    own = [each for each in PASSES if f"{__package__}.{each.module}" == name]
    if not own:
        raise ValueError(f"{name}: no pass of this module stands in passes.py")
    for each in own:
        app.connect(each.event, getattr(module, each.function), priority=each.order)
