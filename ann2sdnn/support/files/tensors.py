"""Writing files of tensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ann2sdnn.support.errors import OutputError
from ann2sdnn.support.files.writing import atomic_file


def write_tensors(path: Path, content: Mapping[str, Any], *, force: bool = True) -> None:
    """Write ``content`` as torch does, in one step; raises what ``atomic_file`` raises."""
    with atomic_file(path, force=force) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # torch's answer to a full disk, which does not say so
            raise OutputError(f"cannot write {path}: the disk may be full") from error
