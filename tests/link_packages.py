"""Lay the packages of pyproject.toml out as a tree of links, the way an installed wheel has them.

mypy follows neither import hooks nor setuptools' package-dir, so it is given this tree.
"""

import shutil
import sys
from pathlib import Path

from setuptools.config.pyprojecttoml import read_configuration


def package_folders(root: Path) -> dict[str, str]:
    """The folder of every package of the project in ``root``."""
    setuptools_table = read_configuration(root / "pyproject.toml")["tool"]["setuptools"]
    named = setuptools_table["package-dir"]
    return {package: _folder(package, named) for package in setuptools_table["packages"]}


def _folder(package: str, named: dict[str, str]) -> str:
    """The folder of ``package``: its own, or one inside its parent's."""
    if package in named:
        return named[package]
    parent, _, name = package.rpartition(".")
    return f"{_folder(parent, named)}/{name}"


def link_packages(root: Path, target: Path) -> None:
    """Create ``target/<package>/<module>.py`` links for every package of ``root``."""
    shutil.rmtree(target, ignore_errors=True)
    for package, folder in package_folders(root).items():
        package_folder = target / package.replace(".", "/")
        package_folder.mkdir(parents=True, exist_ok=True)
        for source in (root / folder).iterdir():
            if source.is_file():
                (package_folder / source.name).symlink_to(source.resolve())


if __name__ == "__main__":
    link_packages(Path(__file__).resolve().parents[1], Path(sys.argv[1]).resolve())
