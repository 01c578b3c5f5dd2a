"""When a recording starts and stops: the rule on a file's special events.

The recorder marks start and stop, but a marker may be missing and a marker is often two or more
special events a microsecond apart. The cases are those of ``Generate_DHP19.m`` of the data set's
repository (SensorsINI/DHP19), which says how many recordings fall into each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ann2sdnn.data.events.windows import LABEL_PERIOD_US
from ann2sdnn.support.errors import DataError

MOST_SPECIAL_EVENTS = 5


@dataclass(frozen=True)
class Interval:
    """Events strictly between the two times belong to the recording; labels begin at start."""

    start_us: int
    stop_us: int


def recording_interval(
    special_us: Sequence[int], first_us: int, last_us: int, n_labels: int
) -> Interval:
    """Start and stop from the special events and the first and last polarity event of a file.

    None: the first and last event. One: the stop if it is nearer the end (then
    start = stop - n_labels * 10 ms), else the start (then stop = start + n_labels * 10 ms). Two
    or four are one marker, its first event counts. Three or five: the first and the last one.
    Raises DataError for more, as in S4 session 3 movements 4 and 6.
    """
    if len(special_us) > MOST_SPECIAL_EVENTS:
        raise DataError(
            f"found more than {MOST_SPECIAL_EVENTS} special events, so neither start nor stop is "
            "known; the recording is corrupt, leave it out"
        )
    if not special_us:
        return Interval(first_us, last_us)
    if len(special_us) in {3, 5}:
        return Interval(special_us[0], special_us[-1])
    return _from_one_marker(special_us[0], first_us, last_us, n_labels * LABEL_PERIOD_US)


def _from_one_marker(marker_us: int, first_us: int, last_us: int, duration_us: int) -> Interval:
    if marker_us - first_us > last_us - marker_us:
        return Interval(marker_us - duration_us, marker_us)
    return Interval(marker_us, marker_us + duration_us)
