"""Fuzzes the parsers with atheris, each for a bounded time: `make fuzz`.

Prints a row per parser: inputs tried, inputs per second, edges covered, faults. Inputs that led to
a fault are in build/fuzz/NAME/found, with a traceback beside them. Exits with 1 where there
are any.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz.parsers import Parser

TESTS = Path(__file__).resolve().parents[1]
FOLDER = TESTS.parent / "build" / "fuzz"
_MEMORY = Path("/dev/shm")  # writing an input to a disk may take longer than reading it
_GRACE_S = 300  # to import, and to end


def main() -> int:
    """Run the parsers that the arguments name, all by default."""
    sys.path.insert(0, str(TESTS))
    from fuzz.parsers import PARSERS

    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PARSERS)}")
    arguments.add_argument("--seconds", type=int, default=60, help="per parser (60)")
    given = arguments.parse_args()
    unknown = set(given.names) - set(PARSERS)
    if unknown:
        arguments.error(f"there is no parser {', '.join(sorted(unknown))}")
    print(f"{'parser':<12}{'inputs':>9}{'per s':>8}{'edges':>8}  faults", flush=True)  # noqa: T201
    faults = [_fuzz(PARSERS[name], given.seconds) for name in given.names or PARSERS]
    return int(any(faults))


def _fuzz(parser: "Parser", seconds: int) -> int:
    """Fuzz one parser and print its row; the number of faults."""
    name = parser.name
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "log.txt"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **_numba(parser)}
    in_memory = _MEMORY if _MEMORY.is_dir() else folder
    with log.open("w") as stream, tempfile.TemporaryDirectory(dir=in_memory) as place:
        target = str(TESTS / "fuzz" / "target.py")
        done = subprocess.run(
            (sys.executable, target, name, str(seconds), str(folder), place, *parser.compiled),
            check=False,
            stdout=stream,
            stderr=stream,
            env=environment,
            timeout=seconds + _GRACE_S,
        )
    text = log.read_text(errors="replace")
    tried = _last(r"number_of_executed_units: (\d+)", text) or _last(r"#(\d+)\t", text)
    edges = _last(r"cov: (\d+)", text)
    found = len({path.stem for path in (folder / "found").glob("*")})
    if done.returncode and not found:
        found = 1  # it did not even begin
    per_s = tried / seconds
    note = f"  see {folder.relative_to(TESTS.parent)}" if found else ""
    print(f"{name:<12}{tried:>9}{per_s:>8.0f}{edges:>8}  {found}{note}", flush=True)  # noqa: T201
    return found


def _numba(parser: "Parser") -> dict[str, str]:
    """What numba compiles cannot call atheris, so it compiles only what atheris leaves alone."""
    if not parser.compiled:
        return {"NUMBA_DISABLE_JIT": "1"}
    return {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(FOLDER / "compiled")}


def _last(pattern: str, text: str) -> int:
    numbers = re.findall(pattern, text)
    return int(numbers[-1]) if numbers else 0


if __name__ == "__main__":
    sys.exit(main())
