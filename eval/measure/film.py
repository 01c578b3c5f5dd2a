"""Puts frames of one sequence and the messages of the SDNN in them together."""

from math import prod

import numpy as np

from ann2sdnn.eval.measure.side_by_side import CountedSdnn
from ann2sdnn.eval.results.examples import Film
from ann2sdnn.eval.tasks.task import FilmedScores, Scores
from ann2sdnn.sdnn.spec.spec import Spec

INPUT_NAME = "input"
_LEAST_FRAMES = 2


def film_of(scores: Scores, sdnn: CountedSdnn | None, spec: Spec) -> Film | None:
    """The sequence that ``scores`` and ``sdnn`` have just seen, if it is their first.

    None where the task keeps no frames, where the backend counts messages of other layers than
    those of ``spec``, and for a single frame, which does not move.
    """
    if not isinstance(scores, FilmedScores) or sdnn is None or sdnn.counts_of != "converted":
        return None
    frames = scores.film()
    if len(frames) < _LEAST_FRAMES:
        return None
    neurons = [prod(spec.input_shape), *(prod(layer.output_shape) for layer in spec.layers)]
    messages = np.stack(sdnn.messages[: len(frames)])
    names = (INPUT_NAME, *(layer.name for layer in spec.layers))
    return Film(frames, names, messages / np.array(neurons, np.float64))
