"""Reads an ONNX file with all of its weights; every command that reads a network uses this.

A file that keeps its weights in other files (`net.onnx` with `net.onnx.data`) is read with them and
can be written as one file.
"""

import hashlib
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from ann2sdnn.graph.onnx.file.external import MAX_BYTES, embed_external_data
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.writing import atomic_file

# The version of the format since which constants need not be inputs. keras2onnx writes files of
# older versions without these inputs.
_CONSTANTS_ALONE = 4


class NotOnnxError(ModelError):
    """A file that holds no ONNX model at all."""


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """An ONNX network: its path, the model with its weights inside, and its bytes as one file.

    ``content``: the file itself, byte for byte, if it has its weights inside; else the model
    serialised with them.
    """

    path: Path
    # As text, both would fill the screen.
    model: Any = field(repr=False)
    content: bytes = field(repr=False)

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of ``content``, so of graph, weights and metadata."""
        return hashlib.sha256(self.content).hexdigest()

    def write(self, path: Path) -> None:
        """Write ``content`` to ``path`` in one step: an ONNX file that needs no other file."""
        with atomic_file(path) as temporary:
            temporary.write_bytes(self.content)


def load_onnx(path: Path) -> OnnxFile:
    """Read and check the ONNX file ``path`` with its external data.

    Raises ModelError for what is missing, damaged, larger than 2 GB or no ONNX file, and for
    external data outside the folder of ``path``.
    """
    return parse_onnx(_read(path), path)


def parse_onnx(content: bytes, path: Path) -> OnnxFile:
    """Check the bytes of an ONNX file; ``path`` is its place or, for messages, its name.

    Errors as for ``load_onnx``.
    """
    try:
        model = onnx.load_model_from_string(content)
        _check_texts(model)
    except (DecodeError, ValueError) as error:
        raise NotOnnxError(
            f"{path} is not an ONNX file, or one that is cut; export the network to ONNX, or copy"
            " the file again"
        ) from error
    if not model.HasField("graph"):
        raise NotOnnxError(f"{path} is not an ONNX file; export the network to ONNX first")
    if embed_external_data(model, path):
        content = model.SerializeToString(deterministic=True)
    if 0 < model.ir_version < _CONSTANTS_ALONE:
        model.ir_version = _CONSTANTS_ALONE
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        reason = " ".join(str(error).partition("==>")[0].split())
        raise ModelError(f"{path} is not a valid ONNX file: {reason}") from error
    return OnnxFile(path, model, content)


def _check_texts(message: Any) -> None:
    """Raise ValueError for a text that is not UTF-8, which protobuf reads as bytes."""
    for kind, value in message.ListFields():
        if kind.type == kind.TYPE_MESSAGE:
            for inner in (value,) if hasattr(value, "ListFields") else value:
                _check_texts(inner)
        elif kind.type == kind.TYPE_STRING:
            for text in (value,) if isinstance(value, str | bytes) else value:
                if isinstance(text, bytes):
                    raise ValueError(f"{kind.name} is no text")


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise ModelError(
            f"{path} does not exist; name the ONNX file of the network to convert"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if stat.S_ISDIR(status.st_mode):
        raise ModelError(f"{path} is a folder; name the ONNX file of the network")
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{path} is a device or a pipe; name the ONNX file of the network")
    refuse_lfs_pointer(path, ModelError)
    try:
        if status.st_size > MAX_BYTES:
            raise ModelError(f"{path} is larger than 2 GB, which no ONNX file can be")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
