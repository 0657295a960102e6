"""The hosts a reader's link may lead to, each with the reason why the book needs it."""

from urllib.parse import urlparse

HOSTS = {
    "github.com": "the repository: source, edits, issues",
    "colab.research.google.com": "button: open the notebook in Colab",
    "mybinder.org": "button: open the notebook on Binder",
    "doi.org": "permanent addresses of papers",
    "arxiv.org": "papers",
    "proceedings.mlr.press": "papers (ICML, AISTATS)",
    "proceedings.neurips.cc": "papers (NeurIPS)",
    "papers.nips.cc": "papers (NeurIPS, older)",
    "openreview.net": "papers (ICLR)",
    "www.jmlr.org": "papers (JMLR)",
    "jmlr.org": "papers (JMLR)",
    "direct.mit.edu": "papers (Neural Computation)",
    "www.bioinf.jku.at": "Hochreiter's and Schmidhuber's papers",
    "people.idsia.ch": "Hochreiter's diploma thesis, Schmidhuber's papers",
    "www.deeplearningbook.org": "Goodfellow, Bengio, Courville",
    "neuralnetworksanddeeplearning.com": "Nielsen's book",
    "udlbook.github.io": "Prince's book",
    "d2l.ai": "Dive into Deep Learning",
    "www.cnblogs.com": "the source text S0",
    "www.cs.toronto.edu": "lecture notes of Hinton, Srivastava and Swersky (RMSProp)",
    "cs231n.github.io": "course notes",
    "kellerjordan.github.io": "the description of Muon by its author",
    "pytorch.org": "documentation of PyTorch",
    "docs.pytorch.org": "documentation of PyTorch",
    "www.tensorflow.org": "documentation of TensorFlow",
    "keras.io": "documentation of Keras",
    "numpy.org": "documentation of NumPy",
    "docs.scipy.org": "documentation of SciPy",
    "scikit-learn.org": "documentation of scikit-learn and its data",
    "jupyterbook.org": "the builder of the site",
    "jupytext.readthedocs.io": "pairing of text and notebook",
    "nbgrader.readthedocs.io": "documentation of nbgrader",
    "docs.dask.org": "documentation of Dask",
    "www.python.org": "Python itself",
    "creativecommons.org": "the licence of the text",
    "opensource.org": "the licence of the code",
}


def host_problem(address: str) -> str:
    """Return what is wrong with the host of an address, "" where it is listed."""
    host = urlparse(address).hostname or ""
    if host in HOSTS:
        return ""
    return f"links to {address}: {host} is not listed in workshop/hosts.py with a reason"
