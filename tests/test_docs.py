"""Outputs in the documents are what the commands beside them print.

On another processor the numbers of trained networks differ, so that only the words are compared;
`python tests/update_docs.py --check` compares everything, and `make docs` writes the outputs.
"""

import pkgutil
import re
from pathlib import Path

import pytest
from commands import COMMANDS
from doc_blocks import DOCUMENTS, ROOT, blocks, code, outputs_in, shape
from doc_examples import EXAMPLES, Example
from doc_outputs import OUTPUTS, SLOW

from ann2sdnn.sdnn.lava.importing import import_lava

WRITTEN = (*DOCUMENTS, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md")
FOLDERS = (
    "ann",
    "ann2sdnn",
    "benchmarks",
    "calibration",
    "convert",
    "data",
    "eval",
    "sdnn",
    "tests",
)
SHOWN = {name: text for document in DOCUMENTS for name, text in outputs_in(document).items()}


def test_every_output_is_shown_once() -> None:
    names = [name for document in DOCUMENTS for name in outputs_in(document)]
    assert sorted(names) == sorted(OUTPUTS)


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=[pytest.mark.slow] if one in SLOW else []) for one in OUTPUTS],
)
def test_an_output_in_the_documents_is_what_is_printed(name: str) -> None:
    assert shape(OUTPUTS[name]()) == shape(SHOWN[name])


@pytest.mark.parametrize("name", ["loihi-lower", "operators"])
def test_numbers_that_no_processor_changes_are_compared_too(name: str) -> None:
    assert OUTPUTS[name]() == SHOWN[name]


def test_every_python_example_is_run() -> None:
    every = [(path.name, block) for path in DOCUMENTS for block in blocks(path, "python")]
    run = [(one.document, code(one.document, one.containing, "python")) for one in EXAMPLES]
    assert sorted(run) == sorted(every)


@pytest.mark.parametrize(
    "example",
    [pytest.param(one, marks=[pytest.mark.lava] * one.needs_lava) for one in EXAMPLES],
    ids=lambda one: f"{one.document}: {one.containing}",
)
def test_a_python_example_runs(example: Example) -> None:
    if example.needs_lava:
        import_lava("lava.lib.dl.netx.hdf5")  # in whatever state earlier tests left this process
    example.run(code(example.document, example.containing, "python"))


@pytest.mark.parametrize("document", WRITTEN, ids=lambda path: path.name)
def test_files_and_modules_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    files = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`|\]\(([\w./-]+\.\w+)", text)
    for in_repository, beside in files:
        path = ROOT / in_repository if in_repository else document.parent / beside
        assert path.exists(), path
    for name in re.findall(r"\bann2sdnn(?:\.[a-z_]\w*)+\.\w+", text):
        pkgutil.resolve_name(name)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_the_documents_have_the_options_that_stand_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    named = "|".join(COMMANDS)
    lines = re.findall(rf"\bann2sdnn ({named}) ([^`\n]*)", text)
    rows = re.findall(rf"^\| `({named})\b[^`]*` \|(.*)", text, re.MULTILINE)  # README's table
    for name, rest in lines + rows:
        known = {option for one in COMMANDS[name].params for option in one.opts} | {"--help"}
        assert set(re.findall(r"--[a-z][a-z-]*", rest)) <= known, (name, rest)


def test_the_shape_of_an_output_keeps_the_words() -> None:
    first = "- channels: /3/Conv (6 of 12), /7/Gemm (6 of 24); the output by 20%, in\n/3/Conv 81%"
    again = "- channels: /7/Gemm (2 of 24); the output by 4.5%, in /9/Gemm 7%, /3/Conv 3%"
    newer = again.replace("/7/Gemm", "node_linear").replace("/3/Conv", "node_conv2d_1_average")
    assert shape(first) == shape(again) == shape(newer)
    assert shape(first) != shape(again.replace("output", "result"))
