"""Models: SlowFast and its single-pathway relatives, by name or by plain arguments."""

from slowfast.models import fusion as _fusion  # noqa: F401  (registers the lateral connections)
from slowfast.models import torchvision_models as _torchvision_models  # noqa: F401  (registers torchvision's networks)
from slowfast.models.build import FUSION_REGISTRY, MODEL_REGISTRY, build_model
from slowfast.models.single_pathway import ResNet
from slowfast.models.slowfast import SlowFast
from slowfast.models.strided_resnet import CSN, R2Plus1D
from slowfast.models.weights.zoo import load_pretrained
from slowfast.models.x3d import X3D

__all__ = [
    "CSN",
    "FUSION_REGISTRY",
    "MODEL_REGISTRY",
    "X3D",
    "R2Plus1D",
    "ResNet",
    "SlowFast",
    "build_model",
    "load_pretrained",
]
