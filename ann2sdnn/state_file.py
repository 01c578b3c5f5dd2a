"""The file that a training is picked up from again: read without executing anything in it."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from ann2sdnn.errors import ModelError
from ann2sdnn.lfs import refuse_lfs_pointer

_State = TypeVar("_State")


def read_state(path: Path, parse: Callable[[Mapping[str, Any]], _State]) -> _State:
    """What ``parse`` makes of the content of ``path``; ModelError when either is damaged.

    ``parse`` may raise KeyError, TypeError or ValueError for content it does not expect.
    """
    refuse_lfs_pointer(path, ModelError)
    try:
        return parse(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    except (KeyError, TypeError, ValueError) as error:
        reason = f"unexpected content, {error}"
    raise ModelError(
        f"{path} cannot be read ({reason}); train again with --force instead of --resume"
    )
