"""What a page costs a reader with a slow line; each page's weight is in test_pages.py.

Times are measured in ``benchmarks/page.py``, never asserted.
"""

import re


def test_the_words_wait_for_one_style_sheet_and_no_script(site):
    """Of a chapter; scripts that wait, say ``defer``, or the search page's own, are none of it."""
    html = (site / "remedies/initialization.html").read_text(encoding="utf-8")
    head = html[: html.index("</head>")]
    assert len(re.findall(r'<link\b[^>]*rel="stylesheet"[^>]*_static/(?!interactive)', head)) == 1
    assert [
        tag for tag in re.findall(r"<script\b[^>]*\bsrc=[^>]*>", head) if "defer" not in tag and "async" not in tag
    ] == []


def test_the_style_sheet_keeps_what_scripts_and_pages_use(site):
    """The one sheet is cut from many: spot checks of what only a script, a state or paper brings out."""
    (sheet,) = (site / "_static").glob("site.*.css")
    css = sheet.read_text(encoding="utf-8")
    for kept in (
        ".copybtn",
        ".modal",
        "@media print",
        ".highlight .k",
        "details",
        ":focus-visible",
        "html[data-theme=dark]",
    ):
        assert kept in css.replace('"', ""), kept
    assert "fa-bluetooth" not in css
    assert len(css) < 250_000
    assert not list(site.rglob("*.map"))
    assert not list(site.rglob("fontawesome*"))
