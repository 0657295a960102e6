"""Figures on the site: their size in the page, their ground in the dark, and no more bytes than they need.

A figure comes from its recording as a PNG with two dots for each pixel (``gradclinic.plots.use_style``), its density
written in it. The page gets the width and height that belong to it, so that nothing jumps while figures load. A figure
that is nearly all bare ground, a drawing, is given the class that lets the style sheet turn it to light lines in the
dark; one whose areas carry meaning in their brightness, a heat map, keeps its colours. The site's copy is reduced to
256 colours where the recording's is not.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from workshop.pictures import few_colours
from workshop.sphinx import passes

DOTS_PER_INCH = 100  # of the page; figure.dpi in gradclinic.mplstyle
BARE = 0.8  # share of ground from which a figure counts as a drawing
WIDE = 760  # px; on a phone such a figure is scrolled, or its words could not be read

IMAGE = re.compile(r'<img\b[^>]*?\bsrc="([^"]*?_images/([^"/]+\.png))"[^>]*>')


@cache
def about(path):
    """Width and height in pixels of the page, and whether the figure is a drawing."""
    with Image.open(path) as image:
        scale = DOTS_PER_INCH / image.info.get("dpi", (DOTS_PER_INCH,))[0]
        bare = np.asarray(image.convert("L")) > 225
        return round(image.width * scale), round(image.height * scale), bool(bare.mean() >= BARE)


def with_size(tag, width, height, drawing):
    """An img tag with its size and its kinds; what it says of either itself stands."""
    kinds = ["drawing"] * drawing + ["wide"] * (width > WIDE)
    if kinds:
        old = re.search(r'\bclass="([^"]*)"', tag)
        new = f'class="{" ".join(([old[1]] if old else []) + kinds)}"'
        tag = tag.replace(old[0], new) if old else tag.replace("<img", f"<img {new}", 1)
    tag = re.sub(r' style="width: [\d.]+px; height: [\d.]+px;"', "", tag)  # myst-nb's, and rigid: it would distort
    if not re.search(r'\s(?:width|height)="|\sstyle="[^"]*(?:width|height):', tag):
        tag = tag.replace("<img", f'<img width="{width}" height="{height}"', 1)
    return tag


def add_sizes(app, pagename, templatename, context, doctree):
    if "body" not in context:
        return
    recorded = {name: Path(app.srcdir, uri) for uri, name in app.builder.images.items()}
    context["body"] = IMAGE.sub(
        lambda found: with_size(found[0], *about(recorded[found[2]])) if found[2] in recorded else found[0],
        context["body"],
    )


def shrink(path):
    """Rewrite a PNG with at most 256 colours where that is smaller."""
    old = path.read_bytes()
    if len(new := few_colours(old)) < len(old):
        path.write_bytes(new)


def shrink_all(app, exception):
    if exception is None and app.builder.format == "html":
        for path in sorted(Path(app.outdir, "_images").glob("*.png")):
            shrink(path)


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
