"""Blocks of the documents: the code in them, and outputs that are kept up to date by running it.

An output stands between two comments, `<!-- output: NAME -->` and `<!-- end of output -->`; NAME is
a function in ``doc_outputs``.
"""

import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_OUTPUT = re.compile(
    r"(?P<begin><!-- output: (?P<name>[\w-]+) -->\n)(?P<text>.*?)(?P<end><!-- end of output -->)",
    re.DOTALL,
)
# A name such as /3/Conv, or node_conv2d_1 in what torch exports since 2.9.
_LAYER = r"/\d+/\w+|\bnode_\w+"
_LISTED = re.compile(r"(?:L(?: \(# of #\)| #%)?,? ?)+")
_NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def outputs_in(document: Path) -> dict[str, str]:
    """The text of every output in ``document``, by its name."""
    text = document.read_text(encoding="utf-8")
    return {found["name"]: found["text"] for found in _OUTPUT.finditer(text)}


def with_outputs(document: Path, make: Callable[[str], str]) -> str:
    """The text of ``document`` with every output replaced by what ``make`` gives for its name."""

    def replaced(found: re.Match[str]) -> str:
        return f"{found['begin']}{make(found['name'])}{found['end']}"

    return _OUTPUT.sub(replaced, document.read_text(encoding="utf-8"))


def blocks(document: Path, language: str = "") -> list[str]:
    """The fenced blocks of ``document`` in a language."""
    text = document.read_text(encoding="utf-8")
    every = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for kind, block in every if kind == language]


def code(document: str, containing: str, language: str = "") -> str:
    """The only fenced block of the document with this name that contains a text."""
    (path,) = [path for path in DOCUMENTS if path.name == document]
    (block,) = [block for block in blocks(path, language) if containing in block]
    return block


def fenced(text: str) -> str:
    """``text`` as a block of a document."""
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return "\n".join(("```", *lines, "```", ""))


def shape(text: str) -> str:
    """``text`` without what depends on the processor.

    Numbers become #, layers L and a list of layers one L; lines may break elsewhere. A network that
    is trained on another processor has other weights, but it is told of in the same words.
    """
    text = re.sub(_LAYER, "L", re.sub(r"-{3,}:?", "-", text))
    text = _LISTED.sub("L ", _NUMBER.sub("#", " ".join(text.split())))
    return " ".join(text.split())
