"""The pose network that comes with the package, and its conversion.

docs/pretrained.md says how they were made.
"""

from pathlib import Path

PRETRAINED = "pretrained"
SHIPPED = Path(__file__).resolve().parent / "shipped" / "sdnn"
"""The conversion's folder, in which model.onnx is the network itself; never written into."""


def model_file(named: Path) -> Path:
    """The shipped network's ONNX file where ``named`` is "pretrained", else ``named`` itself.

    A file or folder of that name in the working folder goes first.
    """
    return SHIPPED / "model.onnx" if _is_meant(named) else named


def conversion_folder(named: Path) -> Path:
    """The shipped conversion's folder where ``named`` is "pretrained", else ``named`` itself.

    A file or folder of that name in the working folder goes first.
    """
    return SHIPPED if _is_meant(named) else named


def _is_meant(named: Path) -> bool:
    return str(named) == PRETRAINED and not named.exists()
