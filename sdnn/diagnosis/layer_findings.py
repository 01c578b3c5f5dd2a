"""Findings about single layers: thresholds, sizes, pools, levels, dead channels."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import geometric_mean, median

from ann2sdnn.sdnn.diagnosis.report import Diagnosis, Finding, LayerStart
from ann2sdnn.sdnn.diagnosis.subjects.subject import LEVELS, UNITS

TOO_SMALL = 0.95  # share of a layer's activations below its threshold
FEW_LEVELS = 16
SMALL_LAYER = 256  # fewer weights than this cannot use many levels
SHRUNK = 0.1
POOL_GAIN = 1.5
MOSTLY = 0.5


def is_conversion(d: Diagnosis) -> bool:
    """Whether the network is a converted one, not one that is built from scratch."""
    return "spec" in d.settings


def zero_thresholds(d: Diagnosis) -> Iterator[Finding]:
    """lava-dl truncates a threshold to 1/64, which leaves nothing of a small one."""
    lost = [
        layer for layer in d.layers if layer.asked_threshold > 0 and layer.exported_threshold == 0
    ]
    if not lost:
        return
    first = lost[0]
    yield Finding(
        name="threshold-zero",
        sentence=(
            f"A threshold of {first.asked_threshold:g} is 0: thresholds are cut to multiples of"
            f" 1/{UNITS}, so {_some(lost)} compare{_s(lost)} with {first.threshold:.3g} and"
            f" export{_s(lost)} {first.exported_threshold:g}. Every change is sent."
        ),
        remedy=(
            f"Convert with --threshold-bits 0: thresholds are multiples of 1/{UNITS} then."
            if is_conversion(d)
            else f"Ask for --threshold {1 / UNITS:g} (1/{UNITS}) or more, or scale the activations"
            " up."
        ),
        evidence={
            "asked": first.asked_threshold,
            "in_force": first.threshold,
            "exported": first.exported_threshold,
            "layers": len(lost),
        },
    )


def high_thresholds(d: Diagnosis) -> Iterator[Finding]:
    """Activations that never reach their threshold are never sent."""
    rows = [
        (layer, now)
        for layer, now in zip(d.layers, d.steps[0].layers, strict=True)
        if layer.threshold > 0 and (now.below_threshold or 0.0) > TOO_SMALL
    ]
    if not rows:
        return
    layer, now = rows[0]
    yield Finding(
        name="threshold-above-activations",
        sentence=(
            f"In {_some([one for one, _ in rows])} the threshold stands above the activations: in"
            f" {layer.name} it is {layer.threshold:.3g} and {now.below_threshold:.1%} of the"
            f" activations are smaller (99% are below {now.activation_p99:.3g})."
        ),
        remedy=(
            "Convert with lower thresholds."
            if is_conversion(d)
            else "Lower the threshold (--threshold), or scale the weights so that activations grow."
        ),
        evidence={
            "layers": len(rows),
            "threshold": layer.threshold,
            "below_threshold": now.below_threshold,
        },
    )


def shrinking_signal(d: Diagnosis) -> Iterator[Finding]:
    """A signal that gets smaller from layer to layer arrives as nothing.

    In a conversion each layer has a scale of its own, so that sizes cannot be compared.
    """
    if is_conversion(d):
        return
    sizes = [
        (layer.name, now.preactivation_rms)
        for layer, now in zip(d.layers, d.steps[0].layers, strict=True)
        if layer.weights
    ]
    # The last layer answers in the target's units, which are small; it says nothing.
    sizes = sizes[:-1]
    if len(sizes) < 2 or sizes[0][1] == 0:
        return
    reached = [one for one in sizes if one[1] > 0]
    ratio = sizes[-1][1] / max(size for _, size in sizes)
    if ratio > SHRUNK:
        return
    gains = [b[1] / a[1] for a, b in pairwise(reached)]
    gain = geometric_mean(gains) if gains else 0.0
    top = max(sizes, key=lambda one: one[1])
    yield Finding(
        name="signal-shrinks",
        sentence=(
            f"The signal shrinks on its way: pre-activations measure {top[1]:.3g} (root mean"
            f" square) in {top[0]} and {sizes[-1][1]:.3g} in {sizes[-1][0]}, a factor of"
            f" {gain:.2f} a layer on average before anything is learned."
        ),
        remedy=(
            "Initialise so that every layer keeps the size (He, or scaled on the first batch), and"
            " scale the input up."
        ),
        evidence={"largest": top[1], "last": sizes[-1][1], "gain_per_layer": gain},
    )


def summing_pools(d: Diagnosis) -> Iterator[Finding]:
    """A pool should answer a picture of ones with one."""
    rows = [
        (layer, layer.pool_gain)
        for layer in d.layers
        if layer.pool_gain is not None and layer.pool_gain > POOL_GAIN
    ]
    if not rows:
        return
    layer, gain = rows[0]
    yield Finding(
        name="pool-sums",
        sentence=(
            f"Pooling sums instead of averaging: {layer.name} answers a picture of ones with"
            f" {gain:.3g} ({_some([one for one, _ in rows])})."
        ),
        remedy="Give Pool a weight_scale of 1/4 for 2x2 pixels, or use max pooling in the neuron.",
        evidence={"gain": gain, "layers": len(rows)},
    )


def few_levels(d: Diagnosis) -> Iterator[Finding]:
    """Weights far below lava's range stand on a handful of its levels."""
    large = [one for one in d.layers if one.weights >= SMALL_LAYER and one.level_fractions]
    poor = [one for one in large if one.levels_used < FEW_LEVELS]
    if not poor or len(poor) < MOSTLY * len(large):
        return
    used = [one.levels_used for one in poor]
    worst = min(poor, key=lambda one: one.levels_used)
    most = max(abs(level) for level in worst.level_fractions)
    yield Finding(
        name="few-levels",
        sentence=(
            f"Weights use a handful of levels: {_some(poor)} of {len(large)} use {min(used)} to"
            f" {max(used)} of the grid's {LEVELS}; in {worst.name} none is larger than"
            f" {most / UNITS:g}, where the grid goes to 4, and"
            f" {worst.level_fractions.get(0, 0.0):.0%} are rounded to 0."
        ),
        remedy=(
            "Convert again with more of the range for weights: --relays 1 or more, or --shifts"
            " per-layer."
            if is_conversion(d)
            else "Use the range: scale each layer's weights up and its neighbours' down, channel by"
            " channel (what convert does), or train in floats and convert afterwards."
        ),
        evidence={
            "fewest": min(used),
            "median": median(used),
            "layers": len(poor),
            "zero_fraction": worst.level_fractions.get(0, 0.0),
        },
    )


def dead_channels(d: Diagnosis) -> Iterator[Finding]:
    """Channels that send nothing learn nothing."""
    pairs = zip(d.layers, d.steps[0].layers, strict=True)
    rows = [(layer, now) for layer, now in pairs if now.dead_channels > MOSTLY]
    if not rows:
        return
    layer, now = rows[-1]
    yield Finding(
        name="dead-channels",
        sentence=(
            f"Before anything is learned, more than half of the channels of"
            f" {_some([one for one, _ in rows])} are never above threshold ({layer.name}:"
            f" {now.dead_channels:.0%})."
        ),
        remedy=(
            "Let more of the signal through: convert with lower thresholds."
            if is_conversion(d)
            else "Let more of the signal through: initialisation, input scale, threshold."
        ),
        evidence={"layers": len(rows), "last": now.dead_channels},
    )


def _some(layers: list[LayerStart]) -> str:
    """One layer by name, several by their number, ends named."""
    if len(layers) == 1:
        return layers[0].name
    return f"{len(layers)} layers ({layers[0].name} to {layers[-1].name})"


def _s(layers: list[LayerStart]) -> str:
    return "s" if len(layers) == 1 else ""
