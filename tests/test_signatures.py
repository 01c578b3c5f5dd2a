"""No function has more than ten parameters; options are dataclasses, from which commands derive."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from link_packages import package_folders

MOST = 10
ROOT = Path(__file__).resolve().parents[1]
FOLDERS = sorted(package_folders(ROOT).values())


def functions(folder: str) -> Iterator[tuple[str, int]]:
    """Name and number of parameters, without self and cls, of every function in ``folder``."""
    for path in sorted((ROOT / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                named = [one.arg for one in arguments if one.arg not in ("self", "cls")]
                yield f"{path.name}: {node.name}", len(named)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_function_has_more_than_ten_parameters(folder: str) -> None:
    assert [name for name, count in functions(folder) if count > MOST] == []
