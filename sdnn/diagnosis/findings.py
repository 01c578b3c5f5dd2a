"""What the numbers of a diagnosis mean, in sentences: each finding is a function of measurements.

A finding says what was seen, with the numbers, and what to do about it; where its numbers are in
order it is not there.
"""

from collections.abc import Callable, Iterator
from itertools import takewhile
from statistics import median

from ann2sdnn.sdnn.diagnosis.layer_findings import (
    dead_channels,
    few_levels,
    high_thresholds,
    is_conversion,
    shrinking_signal,
    summing_pools,
    zero_thresholds,
)
from ann2sdnn.sdnn.diagnosis.report import Diagnosis, Finding, Step

FAINT = 0.1  # of the targets' peak, which is 1
SAME_LOSS = 0.01  # closer than this share, two losses are the same
FADED = 0.05  # of a still picture's first answer; less is left where deltas are compared
LARGE_CHANGE = 0.1
CLIPPED = 0.01  # of the non-zero pixels

_Rule = Callable[[Diagnosis], Iterator[Finding]]


def findings(diagnosis: Diagnosis) -> tuple[Finding, ...]:
    """Everything that stands out, what it does first."""
    return tuple(found for rule in _RULES for found in rule(diagnosis))


def _silence(d: Diagnosis) -> Iterator[Finding]:
    """The last layer stops sending, so the loss is that of an empty picture and stays there."""
    if not d.steps[-1].silent:
        return
    # The first step of the silence that lasts: one batch without an answer is none.
    silent = list(takewhile(lambda step: step.silent, reversed(d.steps)))[-1]
    first_silent = next(
        layer.name for layer, now in zip(d.layers, silent.layers, strict=True) if now.events == 0
    )
    when = (
        "The network is silent from the start"
        if silent.index == 1
        else f"The network falls silent after {_counted(silent.index - 1, 'step')}"
    )
    before = d.steps[0]
    unreached = sum(now.gradient_norm == 0 for now in silent.layers)
    trained = sum(now.gradient_norm is not None for now in silent.layers)
    yield Finding(
        name="silent",
        sentence=(
            f"{when}: in step {silent.index} layer {first_silent} and what comes after it send"
            f" nothing (the output sent {before.layers[-1].events:,} events in step 1), the error"
            f" {silent.error:.3g} {_compared(silent)} that of predicting nothing,"
            f" {silent.silence_error:.3g}, and the gradient is exactly 0 in {unreached} of"
            f" {trained} layers with weights."
        ),
        remedy=(
            "Nothing can be learned from here. Look at what silences it below; keep the output"
            f" layer's ReLU from closing for good ({_open_output(d)}a smaller --learning-rate)."
        ),
        evidence={
            "step": silent.index,
            "error": silent.error,
            "silence_error": silent.silence_error,
            "output_events_step_1": before.layers[-1].events,
            "layers_without_gradient": unreached,
        },
    )


def _stuck_at_silence(d: Diagnosis) -> Iterator[Finding]:
    """Something is sent, yet it is so faint that the error is that of an empty picture."""
    last = d.steps[-1]
    # An output that says something may be as wrong as silence by chance.
    faint = last.output_peak < FAINT and _same(last.error, last.silence_error)
    if last.silent or not faint:
        return
    yield Finding(
        name="loss-of-silence",
        sentence=(
            f"After {_counted(last.index - 1, 'step')} the error is {last.error:.4g}, which is that"
            f" of predicting nothing ({last.silence_error:.4g}); the mean of the targets would give"
            f" {last.mean_target_error:.4g}. The output peaks at {last.output_peak:.3g}, where"
            " targets peak at 1."
        ),
        remedy="The output says next to nothing; train longer, or let more of the signal through.",
        evidence={
            "error": last.error,
            "silence_error": last.silence_error,
            "output_peak": last.output_peak,
        },
    )


def _deltas(d: Diagnosis) -> Iterator[Finding]:
    """The loss compares changes with pictures that stay."""
    probe = d.readout
    if probe is None or probe.first == 0 or probe.later > FADED * probe.first:
        return
    if probe.sum_later <= FADED * probe.first:
        return
    yield Finding(
        name="output-not-summed",
        sentence=(
            "The output is compared as deltas and never summed: of a picture that stands still the"
            f" loss is given {probe.first:.3g} at frame 0 and {probe.later:.3g} at frames 1 to"
            f" {probe.frames - 1} (means), while the running sum stays at {probe.sum_later:.3g}, as"
            " the target does."
        ),
        remedy="Sum the last layer's messages over time before the loss: output.cumsum(dim=-1).",
        evidence=probe.model_dump(),
    )


def _large_steps(d: Diagnosis) -> Iterator[Finding]:
    """RMSprop's first step does not know how small the gradient is."""
    rows = [
        (layer.name, now.weight_change)
        for layer, now in zip(d.layers, d.steps[0].layers, strict=True)
        if now.weight_change is not None and now.gradient_norm
    ]
    changes = [change for _, change in rows]
    if not changes or median(changes) < LARGE_CHANGE:
        return
    name, change = max(rows, key=lambda one: one[1])
    yield Finding(
        name="large-first-step",
        sentence=(
            f"The first step changes the weights by {median(changes):.0%} of their size (median of"
            f" the layers; {name}: {change:.0%}), however small the gradient: RMSprop divides by"
            " it, and its first step is ten times the learning rate."
        ),
        remedy=f"A smaller learning rate{_tenth(d)}, or a warm-up.",
        evidence={"median": median(changes), "largest": change},
    )


def _event_cost(d: Diagnosis) -> Iterator[Finding]:
    """A penalty on events that outweighs the error rewards silence."""
    first = d.steps[0]
    if first.event_penalty <= first.silence_error:
        return
    yield Finding(
        name="event-cost",
        sentence=(
            f"The penalty on events, {first.event_penalty:.3g}, outweighs all there is to learn:"
            f" predicting nothing costs {first.silence_error:.3g}. Falling silent is the fastest"
            " way down."
        ),
        remedy="Train without it until the output is right, then raise it slowly.",
        evidence={"penalty": first.event_penalty, "silence_error": first.silence_error},
    )


def _clipping(d: Diagnosis) -> Iterator[Finding]:
    """Slayer's input block rounds what it is given as if it were a weight."""
    if d.clipped_inputs <= CLIPPED:
        return
    yield Finding(
        name="input-clipped",
        sentence=(
            f"The input block cuts off {d.clipped_inputs:.0%} of the non-zero pixels: it rounds its"
            " input to the grid of the weights, which ends below 4."
        ),
        remedy="Scale pixels to 0..3.9, and make up for it in the first layer's weights.",
        evidence={"share": d.clipped_inputs},
    )


_RULES: tuple[_Rule, ...] = (
    _silence,
    _stuck_at_silence,
    _deltas,
    shrinking_signal,
    dead_channels,
    _large_steps,
    _event_cost,
    high_thresholds,
    zero_thresholds,
    summing_pools,
    few_levels,
    _clipping,
)


def _open_output(d: Diagnosis) -> str:
    """The repair of a preset; a conversion has none."""
    return "" if is_conversion(d) else "--repair output-relu, "


def _tenth(d: Diagnosis) -> str:
    """A tenth of the rate that was used."""
    rate = d.settings.get("learning_rate")
    return f" (--learning-rate {rate / 10:.1g})" if isinstance(rate, float) else ""


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= SAME_LOSS * b


def _compared(step: Step) -> str:
    return "equals" if _same(step.error, step.silence_error) else "is not"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
