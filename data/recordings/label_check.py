"""Labels that cannot be: looks at positions of joints and says what is implausible about them.

A warning and no error: what is measured against such labels is wrong, but nothing breaks.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.cameras import N_CAMERAS
from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.support.progress import Reporter

FloatArray = NDArray[np.float64]

# From shoulder to hip are 0.5 m, from a foot to a raised hand 2.5 m.
SMALLEST_PERSON_MM, LARGEST_PERSON_MM = 300.0, 3000.0
# From the room's origin; the four cameras stand within 3.5 m of it.
FURTHEST_MM = 10_000.0
# Fewer joints, such as those of one arm, may lie close together.
_FEWEST_JOINTS = 6
# A person may stand still for as many frames, though measured positions hardly repeat.
_STILL_FRAMES = 8
_EXPECTED = "expected millimetres in the room of the cameras"


def label_findings(xyz_mm: FloatArray) -> tuple[str, ...]:
    """What is implausible about the labels [n, 3, 13] of one recording, a clause each.

    NaN stands for a joint that was not seen and is nothing to be found, unless all are NaN.
    """
    if not len(xyz_mm):
        return ()
    return tuple(_findings(np.asarray(xyz_mm, np.float64)))


def label_warnings(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """What is implausible about the labels of ``recordings``, a sentence each.

    Recordings with the same kind of finding share a sentence, which quotes the first one's.
    Raises DataError for label files that cannot be read.
    """
    found = {one.name.stem: one.labels(range(one.n_frames)) for one in recordings}
    return warnings_of({stem: label_findings(xyz_mm) for stem, xyz_mm in found.items()})


def warnings_of(findings: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """A sentence for each kind of the ``findings``, by the stems of their recordings."""
    by_kind: dict[str, list[tuple[str, str]]] = {}
    for stem, clauses in findings.items():
        for clause in clauses:
            by_kind.setdefault(clause.split(":")[0], []).append((stem, clause))
    sentences = []
    for same in by_kind.values():
        (stem, clause), others = same[0], len(same) - 1
        more = f" and {others} other recording{'s' * (others != 1)}" if others else ""
        sentences.append(f"labels of {stem}{more}: {clause}")
    return tuple(sentences)


def warn_of_labels(recordings: Sequence[Recording], reporter: Reporter) -> tuple[str, ...]:
    """``label_warnings``, said through ``reporter`` too."""
    found = label_warnings(recordings)
    for sentence in found:
        reporter.message(f"Warning: {sentence}")
    return found


def _findings(xyz_mm: FloatArray) -> Iterator[str]:
    infinite = int(np.isinf(xyz_mm).sum())
    if infinite:
        yield (
            f"infinite coordinates: {infinite:,} of {xyz_mm.size:,};"
            " expected numbers, or NaN where a joint was not seen"
        )
    finite = np.where(np.isfinite(xyz_mm), xyz_mm, np.nan)
    seen = ~np.isnan(finite).any(axis=1)  # [n, 13]
    if not seen.any():
        yield "no joint has a position: all are NaN; nothing can be learned from or compared"
        return
    if not np.nanmax(np.abs(finite)):
        yield f"all coordinates are 0: {_EXPECTED}"
        return
    wrong = list(_implausible_size(finite, seen))
    at_origin = int((finite == 0).all(axis=1).sum())
    if at_origin:
        wrong.append(
            f"joints at 0, 0, 0: {at_origin:,} of {seen.size:,}; expected NaN where a joint was"
            " not seen"
        )
    if len(finite) >= _STILL_FRAMES and _still(finite):
        wrong.append(
            f"no joint moves: each has the same position in all {len(finite)} frames;"
            " expected a position for each frame"
        )
    if not wrong and not infinite and not _in_a_picture(finite):
        wrong.append(
            f"no joint lies in a picture: of all {N_CAMERAS} cameras in all {len(finite)} frames;"
            f" {_EXPECTED}"
        )
    yield from wrong


def _implausible_size(finite: FloatArray, seen: NDArray[np.bool_]) -> Iterator[str]:
    largest = float(np.nanmax(np.abs(finite)))
    whole = finite[seen.sum(axis=1) >= _FEWEST_JOINTS]
    spans = _spans(whole) if len(whole) else None
    span = None if spans is None else float(np.median(spans))
    if span is not None and span < SMALLEST_PERSON_MM:
        unit = "centimetres" if span > 10 else "metres"
        hint = f", these look like {unit}" if span > 0.1 else ""
        yield (
            f"joints too close together: a person spans {span:.3g}, the largest coordinate is"
            f" {largest:.3g}; {_EXPECTED}{hint}"
        )
    elif span is not None and span > LARGEST_PERSON_MM:
        yield (
            f"joints too far apart: a person spans {span:,.0f}, the largest coordinate is"
            f" {largest:,.0f}; {_EXPECTED}, where a person spans at most {LARGEST_PERSON_MM:,.0f}"
        )
    elif largest > FURTHEST_MM:
        yield (
            f"a joint outside the room: the largest coordinate is {largest:,.0f}; {_EXPECTED},"
            f" within {FURTHEST_MM:,.0f} of its origin"
        )


def _spans(finite: FloatArray) -> FloatArray:
    """The largest distance between two joints in each frame of [n, 3, 13]."""
    squared = np.zeros((len(finite), finite.shape[2], finite.shape[2]))
    for axis in range(3):
        values = finite[:, axis]
        squared += np.nan_to_num((values[:, :, None] - values[:, None, :]) ** 2)
    spans: FloatArray = np.sqrt(squared.max(axis=(1, 2)))
    return spans


def _still(finite: FloatArray) -> bool:
    first = finite[0]
    same = (finite == first) | (np.isnan(finite) & np.isnan(first))
    return bool(same.all())


def _in_a_picture(finite: FloatArray) -> bool:
    return any(project_labels(finite, channel).visible.any() for channel in range(N_CAMERAS))
