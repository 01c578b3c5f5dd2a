"""Reads what a command wrote, so that two runs can be compared and half a file is noticed."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path


def contents(out: Path) -> dict[str, str]:
    """Every file in ``out`` that is not hidden: what it holds, without times and dates.

    Raises ValueError for a file that is not whole.
    """
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and not any(part.startswith(".") for part in Path(name).parts):
            try:
                found[name] = _content(path)
            except Exception as error:
                raise ValueError(f"{name} is damaged: {error}") from error
    return found


def _content(path: Path) -> str:
    read = _READERS.get(path.suffix)
    return path.suffix if read is None else read(path)


def _of_tensors(path: Path) -> str:
    from safetensors.numpy import load_file

    arrays = load_file(path)
    parts = [name.encode() + arrays[name].tobytes() for name in sorted(arrays)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _of_json(path: Path) -> str:
    json.loads(path.read_text())
    return "JSON"


def _of_picture(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()
    return "a picture"


def _of_bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _of_page(path: Path) -> str:
    if not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("it has no end")
    return "a page"


def _of_arrays(path: Path) -> str:
    import h5py
    import numpy as np

    digest = hashlib.sha256()

    def add(name: str, item: object) -> None:
        digest.update(name.encode())
        if isinstance(item, h5py.Dataset):
            values = np.asarray(item[()])
            is_text = values.dtype.hasobject
            digest.update(repr(values.tolist()).encode() if is_text else values.tobytes())

    with h5py.File(path, "r") as file:
        file.visititems(add)
    return digest.hexdigest()


# Files of other kinds are compared by name.
_READERS: dict[str, Callable[[Path], str]] = {
    **dict.fromkeys((".h5", ".net"), _of_arrays),
    **{".safetensors": _of_tensors, ".onnx": _of_bytes},
    **{".json": _of_json, ".html": _of_page},
    **dict.fromkeys((".png", ".gif", ".webp"), _of_picture),
}
