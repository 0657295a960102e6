"""``panel``: a figure that follows knobs, ready in its page."""

import pytest
from panels import PAGE, Panel


@pytest.fixture
def panel(open_page):
    """Return ``panel(name, **options)``: the figure of that name, ready, in its page."""
    return lambda name, **options: Panel(open_page(f"{PAGE[name]}.html", **options), name)
