"""The page for an address that is none: GitHub Pages, like most servers, answers with ``404.html`` at any depth.

So every address in it begins at the root of the site. sphinx-notfound-page does this while pages are made; here they
are made lean afterwards, which would undo it, and what is left to do is less than that extension's settings.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

from workshop.sphinx import passes

PAGE = "404"
BODY = """
<h1>There is no such page</h1>
<p>The address may have been mistyped, or the page was called otherwise. Nothing here moves without leaving word, so a
search for its topic should find it.</p>
<ul>
<li><a href="index.html">The beginning of the book</a>, with all of its pages</li>
<li><a href="search.html">Search</a></li>
</ul>
"""
RELATIVE = re.compile(r'(\s(?:href|src|action|data-content_root)=")(?![a-z]+:|[#/])(?:\./)?([^"]*")')


def make_page(app):
    yield PAGE, {"title": "There is no such page", "body": BODY}, "page.html"


def begin_at_the_root(app, exception):
    if exception or app.builder.format != "html":
        return
    path = Path(app.outdir) / f"{PAGE}.html"
    root = urlsplit(app.config.html_baseurl).path or "/"
    path.write_text(RELATIVE.sub(rf"\g<1>{root}\g<2>", path.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
