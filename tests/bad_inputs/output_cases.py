"""Places that no command may write to, with and without --force."""

from collections.abc import Iterator
from pathlib import Path

from bad_inputs.case import Case, Damage
from bad_inputs.option_cases import GOOD

# Where each command says what to write: an option, or the position of an argument.
_TARGETS: dict[str, str | int] = {
    "synth": 0,
    "prepare": 1,
    "show": "--out",
    "train-ann": "--out",
    "import-ann": "--out",
    "convert": "--out",
    "inspect": "--html",
    "evaluate": "--out",
    "bench": "--json",
    "demo": "--out",
    "results": 0,
    "export": "--out",
    "lower": 1,
    "drift": "--out",
    "diagnose": "--out",
    "train-sdnn": "--out",
}
_WRITES_A_FILE = {"import-ann", "inspect", "bench", "export", "lower"}
# These add named files to a folder that may be the user's, as long as none of them is there.
_ADDS_FILES = {"show", "evaluate", "drift"}
_IMPOSSIBLE = ("note.txt/below", "note.txt/far/below", "/proc/new", "x" * 300, "nul\0byte")


def output_cases() -> Iterator[Case]:
    """Targets that cannot be written, hold what the user made, or hold what is being read."""
    for command in _TARGETS:
        for target in _IMPOSSIBLE:
            for force in ((), ("--force",)):
                if "\0" not in target:
                    yield _case(command, target, *force)
        if command in _WRITES_A_FILE:
            yield _case(command, "note.txt")
            yield _case(command, "mine", "--force")
            yield _case(command, "data", "--force")
            yield _case(command, ".", "--force")
        elif command not in _ADDS_FILES:
            yield from _folder_cases(command)
    yield from _own_inputs()


def _folder_cases(command: str) -> Iterator[Case]:
    if command != "synth":
        yield _case(command, "note.txt")
    for target in ("mine", "raw", "."):
        yield _case(command, target)
        yield _case(command, target, "--force")
    yield _case(command, "..", "--force")
    yield _case(command, "note.txt", "--force")
    yield _case(command, "link", "--force", damage=_link_to_mine)
    yield _case(command, "sdnn", "--force", damage=_notes_in("sdnn"))


def _own_inputs() -> Iterator[Case]:
    """Commands told to write over what they read."""
    for arguments in (
        ("convert", "model.onnx", "--calibrate", "data", "--out", "data", "--force"),
        ("convert", "data/../model.onnx", "--calibrate", "data", "--out", ".", "--force"),
        ("convert", "sdnn/model.onnx", "--calibrate", "data", "--out", "sdnn", "--force"),
        ("convert", "run/model.onnx", "--calibrate", "data", "--out", "run", "--force"),
        ("import-ann", "weights.model", "--out", "weights.model", "--force"),
        ("lower", "old.net", "old.net", "--force"),
        ("lower", "old.net", "./data/../old.net", "--force"),
        ("export", "sdnn", "--out", "sdnn/sdnn.h5", "--force"),
        ("export", "sdnn", "--out", "sdnn/report.json", "--force"),
        ("inspect", "sdnn", "--html", "sdnn/report.json", "--force"),
        ("bench", "sdnn", "--data", "data", "--json", "sdnn/model.onnx", "--force"),
        ("bench", "sdnn", "--data", "data", "--json", "sdnn/sdnn.h5", "--force"),
        ("train-ann", "--data", "data", "--out", "data", "--force"),
        ("train-sdnn", "sdnn", "--data", "data", "--out", "sdnn", "--force"),
        ("train-sdnn", "sdnn", "--data", "data", "--out", "data", "--force"),
        ("diagnose", "--data", "data", "--out", "data", "--force"),
        ("diagnose", "--data", "data", "--network", "sdnn", "--out", "sdnn", "--force"),
        ("prepare", "raw", "raw", "--force"),
        ("prepare", "raw", ".", "--force"),
        ("synth", "new", "--raw", "new", "--subjects", "1"),
        ("synth", "new", "--raw", "mine", "--subjects", "1", "--force"),
        ("synth", "new", "--raw", ".", "--subjects", "1", "--force"),
    ):
        yield Case(" ".join(arguments), arguments)


def _case(command: str, target: str, *force: str, damage: Damage | None = None) -> Case:
    place = _TARGETS[command]
    good = list(GOOD[command])
    if isinstance(place, int):
        good[place] = target
    elif place in good:
        good[good.index(place) + 1] = target
    else:
        good += [place, target]
    arguments = (command, *good, *force)
    name = f"{command} to {target[:40]} {' '.join(force)}".rstrip()
    return Case(name, arguments) if damage is None else Case(name, arguments, damage)


def _link_to_mine(folder: Path) -> None:
    (folder / "link").symlink_to("mine", target_is_directory=True)


def _notes_in(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name / "notes.txt").write_text("mine\n")

    return damage
