"""Numbers that no option can have, for every numeric option of every command; contradictions."""

from collections.abc import Iterator

from bad_inputs.case import Case
from commands import COMMANDS, options

# A call of every command that works, small; options are appended.
GOOD: dict[str, tuple[str, ...]] = {
    "synth": ("new", "--subjects", "1", "--movements", "1", "--frames", "1", "--kinds", "walk"),
    "prepare": ("raw", "new", "--window-events", "300"),
    "show": ("data", "--out", "new", "--frames", "1"),
    "train-ann": ("--data", "data", "--out", "new", "--epochs", "1"),
    "import-ann": ("weights.model", "--out", "new.onnx"),
    "convert": ("model.onnx", "--calibrate", "data", "--out", "new", "--frames", "2"),
    "inspect": ("sdnn",),
    "evaluate": ("sdnn", "--data", "data", "--out", "new", "--frames", "2"),
    "bench": ("sdnn", "--data", "data", "--frames", "1", "--rounds", "1", "--json", "new.json"),
    "demo": ("--out", "new"),
    "results": ("new", "--windows", "overlapping", "--conversions", "stock", "--frames", "2"),
    "export": ("sdnn", "--out", "new.net"),
    "simulate": ("sdnn", "--data", "data", "--frames", "1", "--crop", "16x16"),
    "lower": ("old.net", "new.net"),
    "drift": ("sdnn", "--data", "data", "--out", "new", "--frames", "2", "--crop", "32x32"),
    "diagnose": ("--data", "data", "--out", "new", "--frames", "2", "--crop", "32x32"),
    "train-sdnn": ("sdnn", "--data", "data", "--out", "new", "--epochs", "1"),
    "doctor": ("--out", "new"),
}

_NO_NUMBERS: dict[type, tuple[str, ...]] = {
    int: ("nan", "1.5", "-1", "99999999999999999999", "1e3", ""),
    float: ("nan", "inf", "-inf", "-1", "1e400", "1e30", ""),
}
_TEXTS: dict[str, tuple[str, ...]] = {
    "--channels": ("2,2", "4", "-1", "", "2,", "2;3", "nan"),
    "--channel": ("4", "-1", "nan"),
    "--crop": ("0x0", "32", "32x", "-8x8", "9999999x9999999", "8x8x8", "nanxnan", ""),
    "--resets": ("0", "-1", "8,8,x", "", "nan"),
    "--windows": ("sideways", "", "disjoint,disjoint"),
    "--conversions": ("best", "", "stock,stock"),
    "--networks": ("abacus", "", "engine,"),
    "--kinds": ("fly", "", "walk,fly"),
    "--model": ("other", ""),
    "--target": ("nobody", ""),
    "--device": ("toaster", "", "cuda:99"),
    "--recording": ("S9_session1_mov1", ""),
    "--repair": ("everything", ""),
    "--init": ("missing.onnx", "note.txt", "data"),
    "--split": ("nobody",),
    "--backend": ("abacus",),
    "--format": ("csv",),
    "--normalise": ("never",),
    "--precision": ("64-true",),
    "--input": ("1x16", "0x16x20", "axbxc", "2x16x20", ""),
    "--checkpoint": ("missing", "note.txt"),
    "--network": ("missing", "note.txt", "data"),
}
_CONTRADICTIONS: tuple[tuple[str, ...], ...] = (
    ("convert", "--budget-px", "0.2", "--budget-error", "0.1"),
    ("convert", "--thresholds", "none", "--budget-error", "0.1"),
    ("convert", "--threshold-bits", "2"),
    ("convert", "--thresholds", "fixed", "--budget-px", "0.2"),
    ("convert", "--thresholds", "mean-delta", "--percentile", "20"),
    ("convert", "--threshold", "0.2"),
    ("convert", "--factor", "2"),
    ("convert", "--thresholds", "none", "--memory", "mixed"),
    ("inspect", "--json", "--html", "new.html"),
    ("train-ann", "--aware-share", "0.5"),
    ("train-ann", "--network", "hourglass", "--init", "run/model.onnx"),
    ("train-ann", "--resume"),
    ("train-sdnn", "--resume"),
    ("diagnose", "--network", "sdnn", "--preset", "dhp19-ann"),
    ("diagnose", "--network", "sdnn", "--threshold", "0.1"),
    ("diagnose", "--checkpoint", "fine"),
    ("evaluate", "--compare", "ann", "ann"),
    ("evaluate", "--compare", "sdnn", "snn"),
    ("lower", "--input", "1x20x16"),
    ("synth", "--hop-events", "7"),
    ("synth", "--window-events", "10", "--hop-events", "20"),
)


def number_cases() -> Iterator[Case]:
    """Every numeric option with what is no number, and with numbers that none of them can have."""
    for command, option, kinds in _options():
        for kind in kinds & set(_NO_NUMBERS):
            for value in _NO_NUMBERS[kind]:
                yield Case(f"{command} {option}={value}", _call(command, f"{option}={value}"))


def text_cases() -> Iterator[Case]:
    """Options that are parsed by hand, or name something, with what they cannot be."""
    for command, option, _ in _options():
        for value in _TEXTS.get(option, ()):
            yield Case(f"{command} {option}={value}", _call(command, f"{option}={value}"))


def contradiction_cases() -> Iterator[Case]:
    """Options that have no effect, or exclude one another."""
    for command, *typed in _CONTRADICTIONS:
        yield Case(" ".join((command, *typed)), _call(command, *typed))


def _call(command: str, *options: str) -> tuple[str, ...]:
    """A good call with other ``options``; they replace those of the good call."""
    names = {one.partition("=")[0] for one in options if one.startswith("--")}
    kept: list[str] = []
    arguments = iter(GOOD[command])
    for argument in arguments:
        if argument in names:
            next(arguments)
        else:
            kept.append(argument)
    return (command, *kept, *options)


def _options() -> Iterator[tuple[str, str, frozenset[type]]]:
    """Command, option and the types of its values, of every option of every command."""
    assert COMMANDS.keys() == GOOD.keys(), "a command has no good call here"
    for command, _, option, kinds in options():
        yield command, option, kinds
