"""Installs this checkout into a virtual environment: `python tools/install.py .venv`.

`make install` runs it with the interpreter that the environment is made with. It prints a line per
step with its time and nothing that pip says, unless pip fails: then its errors, and the name of the
log with the rest. What was interrupted is completed by the next run. Needs nothing but the standard
library of Python 3.8.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
LOG = "build/install.log"
# In the environment's folder: written before anything else, and after everything else.
MADE_HERE = ".made-by-ann2sdnn"
INSTALLED = ".installed"
OLDEST, NEWEST, HAS_LAVA = (3, 10), (3, 13), (3, 10)
_POLL_S = 1.0
_SHOWN_ERRORS = 5


class InstallError(Exception):
    """One sentence for the user."""


def main() -> None:
    """Install into the folder named on the command line; a failure is one sentence and code 2."""
    folder = Path(sys.argv[1])
    try:
        install(folder, python_version())
    except InstallError as error:
        _end(f"make: {error}", 2)
    except OSError as error:
        _end(f"make: {error.filename or folder}: {error.strerror}", 2)
    except KeyboardInterrupt:
        _end("\nmake: interrupted; `make install` goes on from here", 130)


def install(folder: Path, version: tuple[int, int]) -> None:
    """Make ``folder`` an environment of this interpreter with everything installed.

    Raises InstallError for a Python that is not supported, a folder that this program does not
    own, and a step that fails.
    """
    if not OLDEST <= version <= NEWEST:
        raise InstallError(
            f"{sys.executable} is Python {_dotted(version)}, and 3.10 to 3.13 are supported; name"
            " another interpreter, for example: make PYTHON=python3.12 install"
        )
    constraints = ROOT / "constraints" / f"py{version[0]}{version[1]}.txt"
    wanted = fingerprint(constraints)
    if is_installed(folder, version, wanted):
        _say(f"{folder} is up to date, with Python {_dotted(version)}\n")
        return
    check_folder(folder, version)
    started = time.monotonic()
    create(folder, version)
    forget_unfinished(folder)
    python = str(_python(folder))
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off"]
    pip += ["-c", str(constraints)]
    _step("updating pip and setuptools", [*pip, "--upgrade", "pip", "setuptools"])
    size = SIZE_WITH_LAVA if version == HAS_LAVA else SIZE_WITHOUT_LAVA
    _step(
        f"installing the packages ({size})",
        [*pip, "--no-build-isolation", "--editable", f"{ROOT}[test]"],
    )
    (folder / INSTALLED).write_text(wanted, encoding="utf-8")
    seconds = time.monotonic() - started
    packages = len(list(folder.glob("lib/python*/site-packages/*.dist-info")))
    _say(
        f"{folder} has Python {_dotted(version)} and {packages} packages, {size_gb(folder):.1f} GB,"
        f" after {seconds:.0f} s\n"
    )
    if version != HAS_LAVA:
        _say(WITHOUT_LAVA + "\n")


SIZE_WITH_LAVA = "6.4 GB with lava and torch's CUDA libraries"
SIZE_WITHOUT_LAVA = "5.8 GB with torch's CUDA libraries, 1.8 GB without; without lava"
WITHOUT_LAVA = (
    "without lava, which needs Python 3.10: `simulate`, `diagnose`, `train-sdnn` and the backends"
    " slayer and lava are missing; to have them, install python3.10 and run"
    " `make PYTHON=python3.10 install`"
)


def python_version() -> tuple[int, int]:
    """Major and minor version of this interpreter."""
    return sys.version_info[0], sys.version_info[1]


def fingerprint(constraints: Path) -> str:
    """What an environment depends on: the requirements, the versions, and where the checkout is."""
    sha = hashlib.sha256(str(ROOT).encode())
    for path in (ROOT / "pyproject.toml", constraints):
        sha.update(path.read_bytes())
    return sha.hexdigest()


def version_of(folder: Path) -> tuple[int, int] | None:
    """The version of the environment in ``folder``; None where it is not known, or half-made."""
    try:
        lines = (folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    values = {
        name.strip(): text.strip() for name, _, text in (line.partition("=") for line in lines)
    }
    numbers = values.get("version", values.get("version_info", "")).split(".")
    if len(numbers) < 2 or not all(number.isdigit() for number in numbers[:2]):
        return None
    return int(numbers[0]), int(numbers[1])


def is_installed(folder: Path, version: tuple[int, int], wanted: str) -> bool:
    """Whether ``folder`` has everything for ``wanted``, as an earlier run has written there."""
    stamp = folder / INSTALLED
    if version_of(folder) != version or not stamp.is_file() or not _python(folder).exists():
        return False
    return stamp.read_text(encoding="utf-8") == wanted


def is_made_here(folder: Path) -> bool:
    """Whether this Makefile made the environment."""
    return (folder / MADE_HERE).exists() or (folder / INSTALLED).exists()


def check_folder(folder: Path, version: tuple[int, int]) -> None:
    """Raise InstallError where ``folder`` holds what this program may neither use nor replace."""
    if not folder.exists() or is_made_here(folder):
        return
    found = version_of(folder)
    if found == version or (folder.is_dir() and not any(folder.iterdir())):
        return
    what = "no virtual environment" if found is None else f"an environment of {_dotted(found)}"
    raise InstallError(
        f"{folder} is {what} and was not made by `make install`, and Python {_dotted(version)}"
        " was asked for; remove it, or name another folder: make VENV=folder install"
    )


def create(folder: Path, version: tuple[int, int]) -> None:
    """Create the environment, or complete a half-made one; one of another Python is replaced."""
    found = version_of(folder)
    if found is not None and found != version:
        _say(f"removing {folder}, which make install made with Python {_dotted(found)}\n")
        shutil.rmtree(folder)
    if version_of(folder) == version and _has_pip(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MADE_HERE).touch()
    base = getattr(sys, "_base_executable", None) or sys.executable
    _step(f"creating {folder} with Python {_dotted(version)}", [base, "-m", "venv", str(folder)])


def forget_unfinished(folder: Path) -> None:
    """Remove the records of packages whose installation was cut short, so that pip repeats it.

    pip writes INSTALLER into a package's record after all of its files.
    """
    for record in folder.glob("lib/python*/site-packages/*.dist-info"):
        if not (record / "INSTALLER").exists():
            shutil.rmtree(record)


def size_gb(folder: Path) -> float:
    """Bytes on disk of all files in ``folder``, in 10^9."""
    total = 0
    for place, _, names in os.walk(folder):
        total += sum((Path(place) / name).lstat().st_blocks for name in names)
    return total * 512 / 1e9


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _has_pip(folder: Path) -> bool:
    command = [str(_python(folder)), "-m", "pip", "--version"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:  # a link to an interpreter that is no longer there
        return False
    return done.returncode == 0


def _step(what: str, command: list[str]) -> None:
    """Run ``command`` with its output in the log, and say how long it took."""
    log = ROOT / LOG
    log.parent.mkdir(exist_ok=True)
    start = time.monotonic()
    _say(f"{what} ... ")
    with log.open("ab") as output:
        output.write(f"\n$ {' '.join(command)}\n".encode())
        output.flush()
        begin = output.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=str(ROOT),
        )
        try:
            code = _wait(process, f"{what} ... ", start)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    _say(f"{time.monotonic() - start:.0f} s\n" if code == 0 else "failed\n")
    if code != 0:
        said = log.read_bytes()[begin:].decode(errors="replace").splitlines()
        errors = [line for line in said if line.lower().startswith("error")] or said
        for line in errors[-_SHOWN_ERRORS:]:
            _say(f"  {line}\n")
        raise InstallError(
            f"the step failed; the whole output is in {LOG}, and `make install` goes on from here"
        )


def _wait(process: subprocess.Popen[bytes], what: str, start: float) -> int:
    """The exit code; on a terminal the seconds are counted meanwhile."""
    while True:
        try:
            return process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            if sys.stdout.isatty():
                _say(f"\r{what}{time.monotonic() - start:.0f} s\r{what}")


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _end(sentence: str, code: int) -> NoReturn:
    sys.stderr.write(sentence + "\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
