"""The pages of the reference: what autodoc cannot know when it reads the package's docstrings.

A default that is made anew for each object has no text that Python could read back, and a signature with one is shown
as it comes, without types to follow. A field of a named tuple has a docstring that says only which one it is. And from
Sphinx 8 on a name of ``autodoc_type_aliases`` comes in a wrapper of Sphinx's own.
"""

import re

from workshop.sphinx import passes

PAGES = ("appendix/api-instrument", "appendix/api-science", "appendix/api-networks")
ALIAS = re.compile(r"TypeAliasForwardRef\('([\w.]+)'\)")


def readable_defaults(app, what, name, obj, options, signature, returned):
    signature, returned = (said and ALIAS.sub(r"\1", said) for said in (signature, returned))
    return (signature and signature.replace("<factory>", "..."), returned)


def skip_numbered_fields(app, what, name, obj, skip, options):
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    passes.connect(app, __name__)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
