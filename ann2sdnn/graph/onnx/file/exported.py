"""Exports torch modules to ONNX in memory."""

import inspect
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ann2sdnn.graph.onnx.file.protos import first_line
from ann2sdnn.support.errors import ModelError

_OPSET = 17


def exported(module: nn.Module, example_input: Tensor) -> bytes:
    """The ONNX file of ``module`` in evaluation mode, for inputs of ``example_input``'s shape.

    The module is as before afterwards. Raises ModelError where it cannot be run, which names the
    submodule that fails, or where torch cannot export it.
    """
    buffer = io.BytesIO()
    # Newer versions of torch export in another way by default, which needs another package.
    names = inspect.signature(torch.onnx.export).parameters
    legacy: dict[str, Any] = {"dynamo": False} if "dynamo" in names else {}
    with _evaluated(module), torch.no_grad():
        _run_once(module, example_input)
        try:
            torch.onnx.export(
                module,
                (example_input,),
                buffer,  # type: ignore[arg-type,unused-ignore]  # a path in some versions
                opset_version=_OPSET,
                **legacy,
            )
        # torch documents no base class of what it raises.
        except Exception as error:
            raise ModelError(
                f"torch cannot export the module {type(module).__name__} to ONNX:"
                f" {_reason(error)}; export it yourself, with torch.onnx.export(dynamo=True) of a"
                " newer torch, and give the file to from_onnx"
            ) from error
    return buffer.getvalue()


def _run_once(module: nn.Module, example_input: Tensor) -> None:
    """Run the module; ModelError with the path of the submodule that fails."""
    running: list[str] = []
    hooks = []
    for name, child in module.named_modules():
        hooks.append(child.register_forward_pre_hook(lambda *_, name=name: running.append(name)))
        hooks.append(child.register_forward_hook(lambda *_: running.pop() and None))
    try:
        module(example_input)
    # Whatever a user's module raises.
    except Exception as error:
        failing = running[-1] if running else ""
        child = module.get_submodule(failing)
        path = f"its submodule {failing} ({type(child).__name__})" if failing else "it"
        raise ModelError(
            f"the module {type(module).__name__} cannot take the example input of shape"
            f" {list(example_input.shape)}: {path} fails with: {_reason(error)}; give an example"
            " input that it takes"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _evaluated(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, and each submodule's own mode again afterwards."""
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, training in modes:
            child.training = training


def _reason(error: Exception) -> str:
    """The first sentence of an error."""
    return first_line(error).partition(". ")[0].rstrip(".")
