"""Rewrites the outputs in the documents by running what they show: `make docs`.

With file names, only the outputs in these; with --check, says which are out of date and writes
nothing.
"""

import sys
from pathlib import Path

import torch
from doc_blocks import DOCUMENTS, ROOT, outputs_in, with_outputs
from doc_outputs import OUTPUTS


def main(arguments: list[str]) -> int:
    """Update the documents; 1 where --check finds one that is out of date."""
    torch.set_num_threads(1)  # as in the tests
    check = "--check" in arguments
    named = [Path(one).resolve() for one in arguments if one != "--check"]
    stale = 0
    for document in named or DOCUMENTS:
        if not outputs_in(document):
            continue
        text = with_outputs(document, lambda name: OUTPUTS[name]())
        same = text == document.read_text(encoding="utf-8")
        stale += not same
        if not same and not check:
            document.write_text(text, encoding="utf-8")
        state = "up to date" if same else "out of date" if check else "updated"
        sys.stdout.write(f"{document.relative_to(ROOT)}: {state}\n")
    return int(check and stale > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
