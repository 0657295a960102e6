"""Pages that run in the reader's browser: where their parts come from, and which cells can run there.

The parts are Pyodide (Python and NumPy as WebAssembly) and a small editor; ``pins.json`` holds their versions and
hashes, ``python -m workshop live`` brings them into a folder outside the repository (:mod:`workshop.live.supply`), and
``workshop.sphinx.live`` puts them into the site. :mod:`workshop.live.cells` says which lines of a page need PyTorch or
TensorFlow, which no browser runs; the same file runs in the browser.
"""
