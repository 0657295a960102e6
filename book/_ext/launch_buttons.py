"""Point the Colab, Binder and download buttons at the executed notebook.

sphinx-book-theme derives all three from the page's own path, `book/x.md`, which neither Colab nor Binder opens
as a notebook (executablebooks/sphinx-book-theme, `launch.py`: only a sibling .ipynb is looked for). This runs
after the theme's handlers (priority 501) and rewrites what they made. To be deleted once the theme can be told.
"""

import shutil
from pathlib import Path


def rewrite(app, pagename, templatename, context, doctree):
    source = app.config.html_theme_options.get("path_to_docs", "book").strip("/")
    for group in context.get("header_buttons", []):
        if group.get("label") == "launch-buttons":
            for button in group["buttons"]:
                button["url"] = button["url"].replace(f"/{source}/{pagename}.md", f"/notebooks/{pagename}.ipynb")
    if "ipynb_source" in context:
        # The theme copied what the builder made of the page; readers get the recorded file itself.
        recorded = Path(app.srcdir).parent / "notebooks" / f"{pagename}.ipynb"
        shutil.copyfile(recorded, Path(app.outdir) / "_sources" / context["ipynb_source"])


def setup(app):
    app.connect("html-page-context", rewrite, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
