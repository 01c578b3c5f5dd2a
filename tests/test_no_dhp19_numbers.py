"""Only DHP19's own modules know its sizes: 260 x 346 pixels (344 used), 13 joints, 4 cameras."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("ann2sdnn", "calibration", "convert", "data", "eval", "sdnn")
# The data set's modules, and the pose task. The room ann trains the pose network.
OWN = (
    "data/events/",
    "data/pose/",
    "data/raw/",
    "data/recordings/",
    "data/sources/dhp19.py",
    "data/synthetic/",
    "eval/tasks/pose/",
)
SIZES = {260, 344, 346}
JOINTS = 13
NAMES = {"N_JOINTS", "N_CAMERAS", "SENSOR_HEIGHT", "SENSOR_WIDTH", "USED_WIDTH", "FRONT_CHANNELS"}
MODULES = {"ann2sdnn.data.pose.cameras", "ann2sdnn.data.pose.joints"}
# Where a number is a shape, an index or compared with one; elsewhere 13 may be anything.
COUNTING = (ast.Tuple, ast.List, ast.Call, ast.keyword, ast.Compare, ast.Subscript, ast.Slice)


def findings(source: str) -> Iterator[str]:
    """What ``source`` knows of DHP19, with its line; strings and comments do not count."""
    for parent in ast.walk(ast.parse(source)):
        for node in (parent, *ast.iter_child_nodes(parent)):
            match node:
                case ast.Constant(value=int(value)) if node is not parent and (
                    value in SIZES or (value == JOINTS and isinstance(parent, COUNTING))
                ):
                    yield f"{node.lineno}: {value}"
                case ast.Name(id=name) | ast.Attribute(attr=name) if name in NAMES:
                    yield f"{node.lineno}: {name}"
                case ast.ImportFrom(module=module) if module in MODULES:
                    yield f"{node.lineno}: {module}"


def modules() -> Iterator[Path]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if not path.relative_to(ROOT).as_posix().startswith(OWN):
                yield path


def test_no_module_outside_knows_them() -> None:
    checked = list(modules())
    assert len(checked) > 150
    found = [
        f"{path.relative_to(ROOT)}:{one}"
        for path in checked
        for one in sorted(set(findings(path.read_text(encoding="utf-8"))))
    ]
    assert found == []


def test_each_of_the_own_places_knows_some() -> None:
    """A place that no longer does is to be taken off the list."""
    for own in OWN:
        paths = (ROOT / own).rglob("*.py") if own.endswith("/") else [ROOT / own]
        assert any(list(findings(path.read_text(encoding="utf-8"))) for path in paths), own


@pytest.mark.parametrize(
    "line",
    [
        "height = 260",
        "shape = (1, h, 344)",
        "frames[:, :346]",
        "maps.reshape(13, h, w)",
        "assert len(maps) == 13",
        "joints = numpy.zeros((n, 13, 2))",
        "size = cameras.SENSOR_HEIGHT",
        "from ann2sdnn.data.pose.joints import JOINTS",
    ],
)
def test_the_rule_sees(line: str) -> None:
    assert list(findings(line))


@pytest.mark.parametrize("line", ["opset = 13", "bytes = 13 * 10**8", '"""[n, 13, 260, 344]"""'])
def test_the_rule_lets_pass(line: str) -> None:
    assert not list(findings(line))
