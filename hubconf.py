"""torch.hub entry points: ``torch.hub.load(REPOSITORY, "slowfast_r50", pretrained=True)``.

Without ``pretrained`` a model comes freshly initialized, in train mode; with it in eval mode, with the weights that
PySlowFast's authors published (docs/MODEL_ZOO.md says where they lie and quotes their accuracy).

Input: a normalized clip (B, 3, T, H, W), RGB: pixels / 255, minus 0.45, divided by 0.225. Output: logits (B, K) in
train mode, scores (B, K) in eval mode.
"""

from slowfast.config import load_cfg as _load_cfg
from slowfast.models import build_model as _build_model
from slowfast.models import load_pretrained as _load_pretrained

dependencies = ["torch", "torchvision", "numpy", "fvcore", "iopath", "yaml", "tqdm"]


def _model(recipe, pretrained, num_classes):
    if pretrained:
        return _load_pretrained(recipe, num_classes=num_classes)
    overrides = [] if num_classes is None else ["MODEL.NUM_CLASSES", num_classes]
    return _build_model(_load_cfg(recipe, overrides))


def slowfast_r50(pretrained=False, num_classes=None):
    """SlowFast 8x8, ResNet-50, Kinetics-400: clips of 32 frames at 30 fps with a stride of 2, 256 pixels."""
    return _model("Kinetics/c2/SLOWFAST_8x8_R50", pretrained, num_classes)


def slowfast_4x16_r50(pretrained=False, num_classes=None):
    """SlowFast 4x16, ResNet-50, Kinetics-400: clips of 32 frames at 30 fps with a stride of 2, 256 pixels."""
    return _model("Kinetics/c2/SLOWFAST_4x16_R50", pretrained, num_classes)


def slow_r50(pretrained=False, num_classes=None):
    """Slow pathway alone, 8x8, ResNet-50, Kinetics-400: clips of 8 frames at 30 fps with a stride of 8, 256 pixels."""
    return _model("Kinetics/c2/SLOW_8x8_R50", pretrained, num_classes)


def i3d_r50(pretrained=False, num_classes=None):
    """I3D 8x8, ResNet-50, Kinetics-400: clips of 8 frames at 30 fps with a stride of 8, 256 pixels."""
    return _model("Kinetics/c2/I3D_8x8_R50", pretrained, num_classes)


def c2d_r50(pretrained=False, num_classes=None):
    """C2D 8x8 without temporal pooling, ResNet-50, Kinetics-400: clips as of ``i3d_r50``."""
    return _model("Kinetics/c2/C2D_NOPOOL_8x8_R50", pretrained, num_classes)


def x3d_xs(pretrained=False, num_classes=None):
    """X3D-XS, Kinetics-400: clips of 4 frames at 30 fps with a stride of 12, 182 pixels."""
    return _model("Kinetics/X3D_XS", pretrained, num_classes)


def x3d_s(pretrained=False, num_classes=None):
    """X3D-S, Kinetics-400: clips of 13 frames at 30 fps with a stride of 6, 182 pixels."""
    return _model("Kinetics/X3D_S", pretrained, num_classes)


def x3d_m(pretrained=False, num_classes=None):
    """X3D-M, Kinetics-400: clips of 16 frames at 30 fps with a stride of 5, 256 pixels."""
    return _model("Kinetics/X3D_M", pretrained, num_classes)


def x3d_l(pretrained=False, num_classes=None):
    """X3D-L, Kinetics-400: clips of 16 frames at 30 fps with a stride of 5, 356 pixels."""
    return _model("Kinetics/X3D_L", pretrained, num_classes)
