"""Initial weights (paper, section 4; He et al., ICCV 2015)."""

from __future__ import annotations

from torch import nn

from slowfast.models.nonlocal_block import NonLocalBlock
from slowfast.models.norm import SubBatchNorm3d
from slowfast.models.resnet3d import ResidualBlock


def init_weights(
    model: nn.Module, *, fc_std: float = 0.01, zero_final_bn: bool = False, zero_final_conv: bool = False
) -> None:
    """Draw all weights in place.

    Convolutions: normal of He by fan_out. Linear layers: normal(0, ``fc_std``), biases 0. Batch norms: 1 and 0.
    A model on the meta device has no values and stays as it is: there, torch takes 3 ms to draw none.

    Args:
        zero_final_bn: the last norm of every residual and non-local block starts at zero, so the block is the identity.
        zero_final_conv: the last convolution of every residual block starts at zero.
    """
    if all(parameter.is_meta for parameter in model.parameters()):
        return
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=fc_std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.modules.batchnorm._BatchNorm, SubBatchNorm3d)) and module.weight is not None:
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    for module in model.modules():  # second: what is zero at the start
        if isinstance(module, ResidualBlock):
            if zero_final_bn:
                nn.init.zeros_(getattr(module, f"{module.chain[-1]}_bn").weight)
            if zero_final_conv:
                nn.init.zeros_(getattr(module, module.chain[-1]).weight)
        elif isinstance(module, NonLocalBlock) and zero_final_bn:
            nn.init.zeros_(module.get_parameter("bn.weight"))
