"""The workshop of the course: text to executed notebook, notebook to site, and the checks on both.

``python -m workshop record | check | site | release | grade | fork``. Chapters never import this package.
"""
