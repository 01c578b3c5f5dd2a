"""Checks labels: which positions of joints are implausible, as warnings.

They are no errors: what is measured against such labels is wrong, but nothing breaks.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

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


class LabelFinding(NamedTuple):
    """One implausible thing: ``kind``, which recordings may share, and the numbers behind it."""

    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


def label_findings(xyz_mm: FloatArray) -> tuple[LabelFinding, ...]:
    """What is implausible about the labels [n, 3, 13] of one recording.

    NaN stands for a joint that was not seen, which is plausible unless all are NaN.
    """
    return tuple(_findings(np.asarray(xyz_mm, np.float64))) if len(xyz_mm) else ()


def label_warnings(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """What is implausible about the labels of ``recordings``, one sentence per kind.

    A sentence quotes the first recording that it is true of. Raises DataError for label files that
    cannot be read.
    """
    by_kind: dict[str, list[tuple[str, LabelFinding]]] = {}
    for recording in recordings:
        for finding in label_findings(recording.labels(range(recording.n_frames))):
            by_kind.setdefault(finding.kind, []).append((recording.name.stem, finding))
    sentences = []
    for (stem, finding), *others in by_kind.values():
        plural = "s" * (len(others) != 1)
        more = f" and {len(others)} other recording{plural}" if others else ""
        sentences.append(f"labels of {stem}{more}: {finding}")
    return tuple(sentences)


def warn_of_labels(recordings: Sequence[Recording], reporter: Reporter) -> tuple[str, ...]:
    """``label_warnings``, sent to ``reporter`` too."""
    sentences = label_warnings(recordings)
    for sentence in sentences:
        reporter.message(f"Warning: {sentence}")
    return sentences


def _findings(xyz_mm: FloatArray) -> Iterator[LabelFinding]:
    infinite = int(np.isinf(xyz_mm).sum())
    if infinite:
        yield LabelFinding(
            "infinite coordinates",
            f"{infinite:,} of {xyz_mm.size:,}; expected numbers, or NaN where a joint was not seen",
        )
    finite = np.where(np.isfinite(xyz_mm), xyz_mm, np.nan)
    seen: NDArray[np.bool_] = np.logical_not(np.isnan(finite).any(axis=1))  # [n, 13]
    if not seen.any():
        yield LabelFinding(
            "no joint has a position", "all are NaN; nothing can be learned from or compared"
        )
        return
    if not np.nanmax(np.abs(finite)):
        yield LabelFinding("all coordinates are 0", _EXPECTED)
        return
    found = list(_implausible_size(finite, seen))
    at_origin = int((finite == 0).all(axis=1).sum())
    if at_origin:
        detail = f"{at_origin:,} of {seen.size:,}; expected NaN where a joint was not seen"
        found.append(LabelFinding("joints at 0, 0, 0", detail))
    n = len(finite)
    if (
        n >= _STILL_FRAMES
        and ((finite == finite[0]) | np.isnan(finite) & np.isnan(finite[0])).all()
    ):
        detail = f"each has the same position in all {n} frames; expected a position for each frame"
        found.append(LabelFinding("no joint moves", detail))
    if not found and not infinite and not _in_a_picture(finite):
        detail = f"of all {N_CAMERAS} cameras in all {n} frames; {_EXPECTED}"
        found.append(LabelFinding("no joint lies in a picture", detail))
    yield from found


def _implausible_size(finite: FloatArray, seen: NDArray[np.bool_]) -> Iterator[LabelFinding]:
    largest = float(np.nanmax(np.abs(finite)))
    whole = finite[seen.sum(axis=1) >= _FEWEST_JOINTS]
    span = float(np.median(_spans(whole))) if len(whole) else None
    if span is not None and span < SMALLEST_PERSON_MM:
        unit = "centimetres" if span > 10 else "metres"
        hint = f", these look like {unit}" if span > 0.1 else ""
        yield LabelFinding(
            "joints too close together",
            f"a person spans {span:.3g}, the largest coordinate is {largest:.3g};"
            f" {_EXPECTED}{hint}",
        )
    elif span is not None and span > LARGEST_PERSON_MM:
        yield LabelFinding(
            "joints too far apart",
            f"a person spans {span:,.0f}, the largest coordinate is {largest:,.0f}; {_EXPECTED},"
            f" where a person spans at most {LARGEST_PERSON_MM:,.0f}",
        )
    elif largest > FURTHEST_MM:
        yield LabelFinding(
            "a joint outside the room",
            f"the largest coordinate is {largest:,.0f}; {_EXPECTED}, within {FURTHEST_MM:,.0f} of"
            " its origin",
        )


def _spans(finite: FloatArray) -> FloatArray:
    """The largest distance between two joints in each frame of [n, 3, 13]."""
    squared = np.zeros((len(finite), finite.shape[2], finite.shape[2]))
    for axis in range(3):
        values = finite[:, axis]
        squared += np.nan_to_num((values[:, :, None] - values[:, None, :]) ** 2)
    spans: FloatArray = np.sqrt(squared.max(axis=(1, 2)))
    return spans


def _in_a_picture(finite: FloatArray) -> bool:
    return any(project_labels(finite, channel).visible.any() for channel in range(N_CAMERAS))
