"""The pose network that comes with the package; docs/pretrained.md says how it was made."""

from pathlib import Path

PRETRAINED = "pretrained"
_MODEL = Path(__file__).resolve().parent / "shipped" / "model.onnx"


def model_file(named: Path) -> Path:
    """The shipped network's ONNX file where ``named`` is "pretrained", else ``named`` itself.

    A file or folder of that name in the working folder goes first.
    """
    return _MODEL if str(named) == PRETRAINED and not named.exists() else named
