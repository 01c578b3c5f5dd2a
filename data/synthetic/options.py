"""Options of `synth`."""

from dataclasses import dataclass

from ann2sdnn.data.events.options import WINDOW_EVENTS, Windows
from ann2sdnn.data.synthetic.labels import Labels
from ann2sdnn.data.synthetic.movements.catalogue import (
    CATALOGUE,
    MOST_SUBJECTS,
    N_SUBJECTS,
    CatalogueEntry,
)
from ann2sdnn.data.synthetic.movements.kinds import KINDS
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import choice, free, number, random_seed
from ann2sdnn.support.options.limits import MOST_FRAMES, MOST_WORKERS


@dataclass(frozen=True)
class SynthOptions(Windows):
    """The recordings to make; the files depend on everything here except ``workers`` and
    ``scheduler``.

    Raises UsageError for numbers out of range.
    """

    # Pictures of fewer than 1000 events over four cameras show no body.
    window_events: int = number(
        WINDOW_EVENTS, at_least=1000, at_most=10**8, unit="events", option="--window-events"
    )
    """Events per frame, over all four cameras."""
    subjects: int = number(
        N_SUBJECTS, at_least=1, at_most=MOST_SUBJECTS, option="--subjects", panel="Recordings"
    )
    """Number of people; DHP19 has 17, numbers 13 to 17 are its test subjects."""
    movements: int = number(
        len(CATALOGUE),
        at_least=1,
        at_most=len(CATALOGUE),
        option="--movements",
        panel="Recordings",
    )
    """Movements per person: the first of DHP19's 33, in an order that varies them early."""
    frames: int = number(64, at_least=1, at_most=MOST_FRAMES, option="--frames", panel="Recordings")
    """Frames per recording."""
    seed: int = random_seed(0, panel="Recordings")
    """Seed of people, movements and noise."""
    workers: int = number(1, at_least=1, at_most=MOST_WORKERS, option="--workers")
    """Processes that make recordings side by side."""
    scheduler: str | None = free(None, option="--scheduler")
    """Address of a Dask scheduler, such as tcp://host:8786, whose workers make recordings instead.
    They see the same files under the same paths."""
    first_subject: int = number(
        1, at_least=1, at_most=MOST_SUBJECTS, option="--first-subject", panel="Recordings"
    )
    """Number of the first person."""
    labels: Labels = choice("published", option="--labels", panel="Recordings")
    """Where joints are labelled: where the published network finds them, some 5 px higher than
    motion-capture markers, or where those markers sit."""
    kinds: tuple[str, ...] | None = free(None, option="--kinds", panel="Recordings")
    """Only movements of these kinds, such as walk,jog,'star jump'."""

    @property
    def entries(self) -> tuple[CatalogueEntry, ...]:
        """The movements to perform."""
        wanted = [e for e in CATALOGUE if self.kinds is None or e.kind in self.kinds]
        return tuple(wanted[: self.movements])

    @property
    def windows(self) -> Windows:
        """How events are cut into frames."""
        return Windows(self.window_events, self.hop_events, self.normalise)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first_subject + self.subjects - 1 > MOST_SUBJECTS:
            raise UsageError(
                f"{self.subjects} subjects from number {self.first_subject} on exceed the "
                f"largest number, {MOST_SUBJECTS}; lower one of them"
            )
        if self.kinds is not None and not self.kinds:
            raise UsageError("no kinds of movements were chosen; name one, or leave them out")
        for kind in self.kinds or ():
            if kind not in KINDS:
                raise UsageError(f"there is no movement {kind!r}; choose from {', '.join(KINDS)}")
        if len(set(self.kinds or ())) != len(self.kinds or ()):
            raise UsageError(f"--kinds {','.join(self.kinds or ())}; name each kind once")
        self.windows.refuse_too_many_hops()
