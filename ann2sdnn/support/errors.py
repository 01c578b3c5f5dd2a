"""The errors a user may see: one sentence saying what was found, where, and what to do."""


class Ann2SdnnError(Exception):
    """Base of every error this project raises on purpose; commands end with exit code 2.

    Line breaks, which names in files may have, become spaces.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(" ".join(text.splitlines()))


class DataError(Ann2SdnnError):
    """A recording, label file or data folder is missing, damaged or does not fit."""


class ModelError(Ann2SdnnError):
    """A network file cannot be read, or holds something that cannot be converted."""


class ConversionError(Ann2SdnnError):
    """Calibration or conversion cannot meet a constraint it must meet."""


class OutputError(Ann2SdnnError):
    """An output path exists already or cannot be written."""


class UsageError(Ann2SdnnError):
    """Options that contradict each other or ask for what is not there."""


class ProcessError(Ann2SdnnError):
    """A process that shared the work has ended."""


class SimulationError(Ann2SdnnError):
    """A process of lava's simulation died, or the simulation stands still."""
