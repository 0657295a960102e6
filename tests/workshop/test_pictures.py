from __future__ import annotations

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from workshop.pictures import few_colours, small


def drawn() -> bytes:
    """A picture as matplotlib makes it: antialiased lines and a heat map, more than 256 shades."""
    figure, ax = plt.subplots(figsize=(1.5, 1.5))
    ax.imshow(np.add.outer(np.arange(30.0) ** 2, np.arange(30.0) ** 3))
    ax.plot([0, 29], [3, 21])
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=200)
    plt.close(figure)
    return made.getvalue()


def test_a_picture_gets_a_palette_and_keeps_its_size_and_density():
    with Image.open(io.BytesIO(few_colours(drawn()))) as image:
        assert image.mode == "P"
        assert image.size == (300, 300)
        np.testing.assert_allclose(image.info["dpi"], 200, atol=0.1)
        difference = np.asarray(image.convert("RGB"), float) - np.asarray(
            Image.open(io.BytesIO(drawn())).convert("RGB"), float
        )
    assert np.abs(difference).mean() < 2
    assert len(few_colours(drawn())) < len(drawn())


def test_a_second_time_changes_nothing():
    once = few_colours(drawn())
    assert few_colours(once) == once


def test_only_pictures_of_a_cell_are_touched():
    png = base64.b64encode(drawn()).decode()
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": "1\n"},
        {
            "output_type": "display_data",
            "data": {"image/png": png + "\n", "text/plain": "<Figure>"},
            "metadata": {"a": 1},
        },
    ]
    kept = [dict(output) for output in outputs]
    text, figure = small(outputs)
    assert text == kept[0]
    assert outputs == kept
    assert figure["metadata"] == {"a": 1}
    assert figure["data"]["text/plain"] == "<Figure>"
    assert base64.b64decode(figure["data"]["image/png"]) == few_colours(drawn())
