"""Point the Colab, Binder and download buttons at the executed notebook; offer no edit of what nobody edits.

sphinx-book-theme derives all three from the page's own path, `book/x.md`, which neither Colab nor Binder opens
as a notebook (executablebooks/sphinx-book-theme, `launch.py`: only a sibling .ipynb is looked for). It also writes a
branch as it is, and both take a slash in its name for the end of it. This runs after the theme's handlers (priority
501) and rewrites what they made. To be deleted once the theme can be told.

An assignment is made from its master: a change to the page would be lost, and the page's text is not what a student
hands in. Its buttons are those of the notebook, and the one that reports a mistake.
"""

import re
import shutil
from pathlib import Path
from urllib.parse import quote

from workshop.sphinx import passes

MADE = "assignments/"
SLIDES = {
    "type": "link",
    "url": "?slides",
    "text": "slides",
    "tooltip": "Show as slides",
    "icon": "fas fa-display",
    "label": "slides-button",
}
OF_THE_TEXT = {"source-edit-button", "download-source-button"}


def rewrite(app, pagename, templatename, context, doctree):
    branch = app.config.html_theme_options.get("repository_branch", "")
    source = app.config.html_theme_options.get("path_to_docs", "book").strip("/")
    for group in context.get("header_buttons", []):
        if pagename.startswith(MADE) and "buttons" in group:
            group["buttons"] = [button for button in group["buttons"] if button.get("label") not in OF_THE_TEXT]
        if group.get("label") == "download-buttons" and "ipynb_source" in context and not pagename.startswith(MADE):
            group["buttons"].append(SLIDES)
        if group.get("label") == "launch-buttons":
            for button in group["buttons"]:
                url = button["url"].replace(f"/{source}/{pagename}.md", f"/notebooks/{pagename}.ipynb")
                button["url"] = re.sub(rf"/{re.escape(branch)}(?=[/?])", f"/{quote(branch, safe='')}", url, count=1)
    if "ipynb_source" in context:
        # The theme copied what the builder made of the page; readers get the recorded file itself.
        recorded = Path(app.srcdir).parent / "notebooks" / f"{pagename}.ipynb"
        shutil.copyfile(recorded, Path(app.outdir) / "_sources" / context["ipynb_source"])


def setup(app):
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
