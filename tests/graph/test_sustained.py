"""Counts per frame without the first frame of each sequence."""

import pytest
import torch
from networks import small_graph

from ann2sdnn.graph.counted import CountedAnn, SustainedCount


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_first_frames_are_left_out_unless_they_are_the_only_ones(at_once: int) -> None:
    count = SustainedCount()
    for sequence in ([10, 2, 3, 7], [5]):
        count.begin()
        for start in range(0, len(sequence), at_once):
            chunk = sequence[start : start + at_once]
            count.add(first=chunk[0], total=sum(chunk), n_frames=len(chunk))
        count.add(first=0, total=0, n_frames=0)
    assert count.per_frame == (2 + 3 + 7 + 5) / 4
    assert count.first_frame == (10 + 5) / 2


def test_the_ann_counts_its_nonzero_operations_frame_by_frame() -> None:
    graph = small_graph()
    frames = torch.randint(0, 2, (5, *graph.input_shape), dtype=torch.uint8) * 200
    alone = []
    for frame in frames:
        ann = CountedAnn(graph)
        ann.run(frame[None])
        alone.append(int(ann.nonzero_macs.sum()))
    together = CountedAnn(graph)
    for sequence in (frames[:3], frames[3:]):
        together.reset()
        together.run(sequence[:2])
        together.run(sequence[2:])
    assert together.sustained.per_frame == (alone[1] + alone[2] + alone[4]) / 3
    assert together.sustained.first_frame == (alone[0] + alone[3]) / 2
