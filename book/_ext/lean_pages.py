"""Pages without what no page of this book uses."""


def unused(script):
    """Whether a script is sphinx-thebe's, or says again what was said.

    Jupyter Book loads sphinx-thebe although ``launch_buttons: thebe`` is off, and sphinx-book-theme sets it up a
    second time, so that its ``const`` is declared twice: an error on every page
    (executablebooks/sphinx-book-theme 1.3, ``launch.py``; jupyter-book 1.0, ``config.py``).
    """
    said = script.attributes.get("body") or str(script.filename or "")
    return "THEBE_JS_URL" in said or "sphinx-thebe" in said


def leave_out(app, pagename, templatename, context, doctree):
    seen, kept = set(), []
    for script in context["script_files"]:
        said = script.attributes.get("body") or str(script.filename)
        if not unused(script) and said not in seen:
            seen.add(said)
            kept.append(script)
    context["script_files"] = kept


def setup(app):
    app.connect("html-page-context", leave_out, priority=900)  # after the themes and extensions have added theirs
    return {"parallel_read_safe": True, "parallel_write_safe": True}
