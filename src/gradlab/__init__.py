"""The science behind the course: gradients, derivations and the instrument that measures them.

Importing the package loads NumPy at most; a framework is loaded by the module that bears its name.
"""

__version__ = "0.1.0"
