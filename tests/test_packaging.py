"""The wheel holds every package, and importing it needs none of the dependencies."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from link_packages import package_folders
from recordings import write_network, write_recordings

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, so that the build leaves nothing in the checkout.
    source = folder / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(source)]
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_imports_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*command, "--no-deps", "--no-index", str(wheel)], check=True)
    packages = list(package_folders(ROOT))
    code = f"""
import ast, importlib, importlib.util, pathlib
for name in {packages!r}:
    # Two packages import their modules, which need numpy; finding a package imports its parent.
    file = pathlib.Path(importlib.util.find_spec(name).origin)
    assert file.is_relative_to({str(tmp_path)!r}), file
    assert ast.get_docstring(ast.parse(file.read_text())), name
import ann2sdnn.support.errors, ann2sdnn.support.files.writing, ann2sdnn.data.pose.joints
root = pathlib.Path(importlib.import_module("ann2sdnn").__file__).parent
assert (root / "py.typed").exists()
assert (root / "support/page/document.html.j2").exists()
assert (root / "eval/bench/live/page.html.j2").exists()
print("imported", len({packages!r}))
"""
    run = subprocess.run(
        [str(python), "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert run.stdout.split() == ["imported", str(len(packages))]


def test_the_installed_wheel_runs_the_main_commands(wheel: Path, tmp_path: Path) -> None:
    """In a new environment that has the dependencies of this one, and not the checkout."""
    venv.create(tmp_path / "env", with_pip=False)
    folder = tmp_path / "env" / "bin"
    install = [sys.executable, "-m", "pip", "--python", str(folder / "python"), "install", "-q"]
    subprocess.run([*install, "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = (tmp_path / "env" / "lib").glob("*/site-packages")
    # A path file does not read the path files of the folder it names, so no editable install.
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    write_recordings(tmp_path / "data")
    model = write_network(tmp_path / "model.onnx")
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments: str | Path) -> str:
        command = [str(folder / "ann2sdnn"), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    assert "convert" in run("--help")
    sdnn, data = tmp_path / "sdnn", tmp_path / "data"
    convert = ("convert", model, "--calibrate", data, "--out", sdnn, "--frames", "4")
    assert f"Wrote {sdnn}" in "".join(run(*convert, "--split", "all", "--quiet").split("\n"))
    run("evaluate", sdnn, "--data", data, "--frames", "4", "--split", "all", "--quiet")
    assert (sdnn / "report.html").is_file()
    assert "the SDNN needs" in run("inspect", "pretrained")
    run("export", "pretrained", "--out", "network.net")
    assert (tmp_path / "network.net").is_file()


def test_every_module_of_the_checkout_is_in_the_wheel(wheel: Path) -> None:
    from zipfile import ZipFile

    packed = set(ZipFile(wheel).namelist())
    for package, folder in package_folders(ROOT).items():
        for source in (ROOT / folder).glob("*.py"):
            assert f"{package.replace('.', '/')}/{source.name}" in packed


def test_the_shipped_conversion_is_in_the_wheel_and_small(wheel: Path) -> None:
    from zipfile import ZipFile

    sizes = {
        one.filename.partition("/shipped/")[2]: one.file_size
        for one in ZipFile(wheel).infolist()
        if "/shipped/" in one.filename
    }
    conversion = {f"sdnn/{name}" for name in ("model.onnx", "sdnn.h5", "report.json")}
    earlier = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
    records = {"train.json", *(f"{ordinal}.train.json" for ordinal in earlier)}
    assert set(sizes) == conversion | records
    assert sum(sizes.values()) < 1_500_000


def test_the_notebooks_are_in_the_sdist_and_not_in_the_wheel(wheel: Path, tmp_path: Path) -> None:
    import tarfile
    from zipfile import ZipFile

    code = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
    command = [sys.executable, "-c", code, str(tmp_path)]
    subprocess.run(command, cwd=wheel.parent / "source", check=True, capture_output=True)
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    kept = {path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert len(kept) == 2
    assert kept <= names
    assert "ann2sdnn/api.py" in names
    assert not any(name.endswith(".ipynb") for name in ZipFile(wheel).namelist())


def test_every_folder_with_modules_is_a_listed_package() -> None:
    listed = package_folders(ROOT)
    rooms = {folder for package, folder in listed.items() if package.count(".") <= 1}
    found = {
        init.parent.relative_to(ROOT).as_posix()
        for room in rooms
        for init in (ROOT / room).rglob("*.py")
    }
    assert found == set(listed.values())


def test_no_folder_holds_more_than_twelve_entries() -> None:
    for folder in package_folders(ROOT).values():
        entries = [one for one in (ROOT / folder).iterdir() if not one.name.startswith("__")]
        assert len(entries) <= 12, (folder, len(entries))


@pytest.mark.parametrize("version", ["310", "311", "312", "313"])
def test_constraints_name_versions_and_no_hosts(version: str) -> None:
    path = ROOT / "constraints" / f"py{version}.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) > 50
    assert any(line.startswith("lava-dl==") for line in lines) == (version == "310")
    for line in lines:
        name, _, version = line.partition("==")
        assert name, line
        assert version[:1].isdigit(), line
        assert "/" not in line, line
