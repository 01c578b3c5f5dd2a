"""Whether a network is the DHP19 pose network, the only one that `train-ann` trains."""

from ann2sdnn.ann.network import LAYERS
from ann2sdnn.graph.layers import Graph


def is_pose_network(graph: Graph) -> bool:
    """Whether `train-ann --init` takes the file that ``graph`` was read from: its layers have the
    names and kernels of the pose network.
    """
    found = [(layer.name, layer.weight.shape) for layer in graph.layers]
    return found == [(layer.name, layer.weight_shape) for layer in LAYERS]
