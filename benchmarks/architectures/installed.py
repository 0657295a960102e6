# the docstring of a class says what its forward does
"""What torchvision and timm bring, where they are installed."""

from __future__ import annotations

from collections.abc import Callable

from architectures.tasks import (
    CLASSES,
    Made,
    images,
)


def installed() -> tuple[dict[str, Callable[[], Made]], list[str]]:
    """Models of torchvision, timm and transformers, and which of these are not there."""
    found: dict[str, Callable[[], Made]] = {}
    missing = []
    try:
        from torchvision import models

        names = ("resnet50", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "mnasnet1_0")
        for name in (*names, "regnet_y_400mf", "shufflenet_v2_x1_0", "convnext_tiny", "swin_t"):
            build = getattr(models, name)
            found[f"torchvision {name}"] = lambda build=build: (build(num_classes=CLASSES), *images(8, 96), None)
    except (ImportError, RuntimeError, OSError) as error:
        missing.append(f"torchvision ({type(error).__name__})")
    try:
        import timm

        for name in (
            "vit_tiny_patch16_224",
            "mixer_s32_224",
            "resmlp_12_224",
            "cait_xxs24_224",
            "deit3_small_patch16_224",
        ):
            found[f"timm {name}"] = lambda name=name: (
                timm.create_model(name, num_classes=CLASSES),
                *images(4, 224),
                None,
            )
    except (ImportError, RuntimeError, OSError) as error:
        missing.append(f"timm ({type(error).__name__})")
    return found, missing
