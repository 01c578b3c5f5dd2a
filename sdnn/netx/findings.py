"""Sentences about a network trained in slayer: what stands out, and how to run it lowered."""

from collections.abc import Callable, Sequence

import numpy as np

from ann2sdnn.sdnn.netx.importer import SlayerNetwork
from ann2sdnn.sdnn.netx.read import BlockKind, NetxLayer
from ann2sdnn.sdnn.netx.table import STEPS, kernel_text, largest_step
from ann2sdnn.sdnn.spec.grid import SHIFT, UNITS, WEIGHT_STEP

# Below this, weights are on a grid that is coarser than 8 bits offer.
_FEW_STEPS = STEPS // 4


def findings(network: SlayerNetwork) -> list[str]:
    """Sentences about what stands out."""
    return [sentence for finding in _FINDINGS if (sentence := finding(network))]


def _counted(blocks: Sequence[NetxLayer], one: str, many: str) -> str:
    names = ", ".join(block.name for block in blocks)
    return f"{len(blocks)} {one if len(blocks) == 1 else many} ({names})"


def _of_kind(network: SlayerNetwork, kind: BlockKind) -> list[NetxLayer]:
    return [block for block in network.blocks if block.kind == kind]


def _pools(network: SlayerNetwork) -> str:
    pools = _of_kind(network, "pool")
    if not pools:
        return ""
    gains = sorted({int(block.weight.sum()) / UNITS for block in pools if block.weight is not None})
    if gains == [1.0]:
        return f"{_counted(pools, 'pool', 'pools')}: each averages its window."
    text = " and ".join(f"{gain:g}" for gain in gains)
    return (
        f"{_counted(pools, 'sum pool', 'sum pools')}: slayer's Pool adds its window up instead of"
        f" averaging it, a gain of {text} each, which takes from the state's range; weight_scale"
        " 1/4 makes a 2x2 one an average."
    )


def _transposed(network: SlayerNetwork) -> str:
    blocks = _of_kind(network, "convT")
    if not blocks:
        return ""
    kernels = " and ".join(sorted({kernel_text(block) for block in blocks}))
    return (
        f"{_counted(blocks, 'transposed convolution', 'transposed convolutions')}, kernel/stride"
        f" {kernels}: netx has none; the finer grid is kept in channels."
    )


def _unpooled(network: SlayerNetwork) -> str:
    blocks = _of_kind(network, "unpool")
    if not blocks:
        return ""
    return (
        f"{_counted(blocks, 'unpooling', 'unpoolings')}: each value is copied to its window, on a"
        " finer grid kept in channels."
    )


def _zero_thresholds(network: SlayerNetwork) -> str:
    thresholds = [block.threshold for block in network.populations if not block.sigma_output]
    if 0 not in thresholds:
        return ""
    return (
        f"Thresholds of 0 in {thresholds.count(0)} of {len(thresholds)} layers: every change is"
        " sent, however small; export_hdf5 cuts thresholds down to whole 1/64, so one under 1/64"
        " becomes 0."
    )


def _few_levels(network: SlayerNetwork) -> str:
    blocks = [block for block in network.populations if block.kind not in ("pool", "unpool")]
    steps = [largest_step(block) for block in blocks]
    n_few = sum(step <= _FEW_STEPS for step in steps)
    if not n_few:
        return ""
    largest = str(min(steps)) if min(steps) == max(steps) else f"{min(steps)} to {max(steps)}"
    return (
        f"The largest weight of a layer is {largest} of {STEPS} steps of"
        f" {WEIGHT_STEP}/{UNITS} (median {np.median(steps):g}), a quarter of the range or less in"
        f" {n_few} of {len(blocks)} layers: slayer rounds weights to that step and rescales"
        " nothing."
    )


def _biases(network: SlayerNetwork) -> str:
    biases = [block.bias for block in network.populations if block.bias is not None]
    if not biases:
        return "No layer has a bias."
    largest = max(int(np.abs(bias).max()) for bias in biases)
    return (
        f"Biases in {len(biases)} of {len(network.populations)} layers, whole numbers of 1/{UNITS},"
        f" {largest} at most."
    )


def _exponents(network: SlayerNetwork) -> str:
    blocks = [block for block in network.populations if block.weight_exp]
    if not blocks:
        return ""
    return (
        f"{_counted(blocks, 'layer divides', 'layers divide')} by a power of two"
        " (WgtScaleBatchNorm), which stock netx ignores; it is kept as a right shift other than"
        f" {SHIFT}."
    )


def _output(network: SlayerNetwork) -> str:
    if network.averaged > 1:
        return (
            f"The final average of {network.averaged} channels each has no neuron: the host"
            " computes it (``signs`` and ``output_scale`` in the file say so)."
        )
    if network.sigma_output:
        return f"{network.blocks[-1].name} is slayer's Output: it gives its sum itself."
    return ""


_FINDINGS: tuple[Callable[[SlayerNetwork], str], ...] = (
    _pools,
    _transposed,
    _unpooled,
    _zero_thresholds,
    _few_levels,
    _biases,
    _exponents,
    _output,
)


def how_to_run(network: SlayerNetwork) -> list[str]:
    """What a program that loads the lowered file has to do."""
    return [_input(network), _neuron(network)]


def _input(network: SlayerNetwork) -> str:
    encoding = network.encoding
    if not encoding.encodes:
        return "The file has no input neuron: send messages in units of 1/4096."
    offset = f", plus {encoding.offset}" if encoding.offset else ""
    threshold = f", where it is {encoding.threshold} or more" if encoding.threshold > 1 else ""
    return (
        "The host does what slayer's Input did: it rounds to 1/32 and sends the change of"
        f" {encoding.gain} message units per count{offset}{threshold}"
        " (ann2sdnn.sdnn.netx.input.InputEncoding)."
    )


def _neuron(network: SlayerNetwork) -> str:
    reasons = []
    if network.spec.grid.threshold_bits:
        reasons.append("slayer runs a threshold of 0 as 1/4096, which netx cannot say")
    if any(layer.shift != SHIFT for layer in network.spec.layers):
        reasons.append("netx knows one right shift only")
    if not reasons:
        return "Stock netx with lava-nc's released neuron computes what slayer computes."
    return (
        f"{' and '.join(reasons)}, so the number stands beside netx' own content: stock netx loads"
        " the file and computes something else. Loaded by"
        " ann2sdnn.sdnn.lava.network.load_network it computes what slayer computes."
    )
