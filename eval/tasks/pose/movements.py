"""The movement that a recording shows, by the numbers in its name."""

from ann2sdnn.data.recordings.recording import RecordingName
from ann2sdnn.data.synthetic.movements.catalogue import CATALOGUE
from ann2sdnn.support.errors import DataError


def movement_of(group: str) -> str:
    """The recording's name without its subject, such as ``session2_mov1``.

    A name of another form is returned as it is: nothing is known of its movement.
    """
    try:
        return RecordingName.parse(group).stem.partition("_")[2]
    except DataError:
        return group


def words_of(movement: str) -> str:
    """What the data set's paper calls a movement: "walk" for ``session2_mov1``; "" if unknown."""
    return _WORDS.get(movement, "")


_WORDS = {f"session{entry.session}_mov{entry.movement}": entry.name for entry in CATALOGUE}
