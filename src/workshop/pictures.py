"""Figures as small files: a PNG with at most 256 colours, as a recording keeps it and the site shows it."""

from __future__ import annotations

import base64
import io

from PIL import Image


def few_colours(png: bytes) -> bytes:
    """Return a PNG with at most 256 colours where that is smaller, else ``png`` itself; its density stays."""
    with Image.open(io.BytesIO(png)) as image:
        if image.mode == "P":
            return png
        density = {"dpi": image.info["dpi"]} if "dpi" in image.info else {}
        few = image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    made = io.BytesIO()
    few.save(made, "PNG", optimize=True, **density)
    return min(made.getvalue(), png, key=len)


def small(outputs: list[dict]) -> list[dict]:
    """Return a cell's outputs with every PNG, in base64 as notebooks hold it, in few colours."""
    result = []
    for output in outputs:
        data = output.get("data", {})
        if "image/png" in data:
            png = few_colours(base64.b64decode(data["image/png"]))
            output = output | {"data": data | {"image/png": base64.b64encode(png).decode("ascii")}}
        result.append(output)
    return result
