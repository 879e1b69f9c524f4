"""PySlowFast's names for the data sets that it reads through PyTorchVideo: the same lists, read as ours are.

The images of Charades and Something-Something reach the network as BGR there, whatever DATA.REVERSE_INPUT_CHANNEL says:
its recipes set that key, which here turns the RGB of these sets into BGR.
"""

from __future__ import annotations

from slowfast.datasets.build import DATASET_REGISTRY
from slowfast.datasets.charades import Charades
from slowfast.datasets.kinetics import Kinetics
from slowfast.datasets.ssv2 import SomethingSomething

DATASET_REGISTRY.register("ptvkinetics")(Kinetics)


@DATASET_REGISTRY.register("ptvcharades")
class PyTorchVideoCharades(Charades):
    """Charades, fed as RGB unless DATA.REVERSE_INPUT_CHANNEL."""

    pyslowfast_reads_bgr = False


@DATASET_REGISTRY.register("ptvssv2")
class PyTorchVideoSomethingSomething(SomethingSomething):
    """Something-Something V2, fed as RGB unless DATA.REVERSE_INPUT_CHANNEL."""

    pyslowfast_reads_bgr = False
