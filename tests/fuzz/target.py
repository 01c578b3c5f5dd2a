"""One parser under atheris: `target.py NAME SECONDS FOLDER PLACE [MODULE ...]`.

An input that ends in anything but a result or a sentence is written to FOLDER/found, once per
place in the code, and the search goes on. A crash, a hang and a process of too much memory end it;
libFuzzer writes their inputs there. The file that is read lies in the folder PLACE. Modules that
are named are not instrumented: numba compiles their loops.
"""

import hashlib
import logging
import sys
import traceback
from pathlib import Path

import atheris

_HANG_S = 20
_PEAK_MB = 2048
_LONGEST = 1 << 16  # bytes of an input, where the good file is shorter


def _fuzz(name: str, seconds: int, folder: Path, place: Path, compiled: list[str]) -> None:
    with atheris.instrument_imports(include=["ann2sdnn"], exclude=compiled):
        from fuzz.parsers import PARSERS

    logging.disable()
    parser, good = PARSERS[name], PARSERS[name].good()
    corpus, found = folder / "corpus", folder / "found"
    for made in (corpus, found):
        made.mkdir(parents=True, exist_ok=True)
    (corpus / "good").write_bytes(good)
    parser.write(path := place / parser.file)

    def one(data: bytes) -> None:
        path.write_bytes(data)
        fault = parser.fault(path)
        if fault is not None:
            _keep(found, data, fault)

    options = {
        "max_total_time": seconds,
        "timeout": _HANG_S,
        "rss_limit_mb": _PEAK_MB,
        "max_len": max(_LONGEST, 2 * len(good)),
        "artifact_prefix": f"{found}/",
        "print_final_stats": 1,
        "seed": 1,
    }
    flags = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], one)
    atheris.Fuzz()


def _keep(found: Path, data: bytes, fault: Exception) -> None:
    frames = traceback.extract_tb(fault.__traceback__)
    place = f"{type(fault).__name__} {[(frame.name, frame.lineno) for frame in frames[-3:]]}"
    path = found / hashlib.sha256(place.encode()).hexdigest()[:12]
    if not path.exists():
        path.write_bytes(data)
        text = "".join(traceback.format_exception(fault))
        path.with_suffix(".txt").write_text(text)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    folder, place = (Path(given).resolve() for given in sys.argv[3:5])
    _fuzz(sys.argv[1], int(sys.argv[2]), folder, place, sys.argv[5:])
