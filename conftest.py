"""The environment of every test and of every kernel under nbval: the one that the recordings were made in."""

import os

from coursekit.record import ENVIRONMENT

os.environ.update(ENVIRONMENT)
