"""Files of tensors as torch writes them, read without executing anything in them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ann2sdnn.support.errors import OutputError
from ann2sdnn.support.files.writing import atomic_file

# A name in every TorchScript archive. Before torch 2.6, torch.load runs such an archive even with
# weights_only.
_SCRIPT_SIGN = b"constants.pkl"
_BLOCK_BYTES = 1 << 24


def write_tensors(path: Path, content: Mapping[str, Any], *, force: bool = True) -> None:
    """Write ``content`` as torch does, in one step; raises what ``atomic_file`` raises."""
    with atomic_file(path, force=force) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # torch's answer to a full disk, which does not say so
            raise OutputError(f"cannot write {path}: the disk may be full") from error


def read_tensors(path: Path) -> Any:
    """The content of a file that ``torch.save`` wrote: tensors, containers, numbers and texts.

    Tensors are mapped from the file, so none is longer than the file and a compressed one is not
    expanded. Raises ValueError for a file of another format, a TorchScript archive among them, and
    what ``torch.load`` raises for damage.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no archive that torch.save wrote")
    if _holds(path, _SCRIPT_SIGN):
        raise ValueError("it is a TorchScript archive, which holds code")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _holds(path: Path, sign: bytes) -> bool:
    """Whether ``sign`` stands anywhere in the file, whatever its table of contents says."""
    rest = b""
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            if sign in rest + block:
                return True
            rest = block[-len(sign) :]
    return False
