"""Time steps between the input and each population, and the delays of shorter paths."""

from dataclasses import dataclass

from ann2sdnn.graph.layers import Network


@dataclass(frozen=True)
class Timing:
    """Every synapse takes one time step, so the messages of a frame reach a population at different
    times where its paths have different lengths; the shorter paths are delayed.
    """

    latency: tuple[int, ...]
    """Time steps from the input to the messages of each plane; plane 0 is the input itself."""
    delays: tuple[tuple[int, ...], ...]
    """Of each layer's synapses: time steps that messages wait in front of the synapse."""
    output_delays: tuple[int, ...]
    """Of each output: time steps that its messages wait, so that all outputs answer together."""

    @property
    def total(self) -> int:
        """Time steps from the input to the outputs."""
        return max(self.latency)


def timing_of(network: Network) -> Timing:
    """The least delays with which all messages of a frame meet at every population."""
    latency = [0]
    delays = []
    for planes in network.reads:
        latest = max(latency[plane] for plane in planes)
        delays.append(tuple(latest - latency[plane] for plane in planes))
        latency.append(latest + 1)
    last = max(latency[plane] for plane in network.output_planes)
    waits = tuple(last - latency[plane] for plane in network.output_planes)
    return Timing(tuple(latency), tuple(delays), waits)
