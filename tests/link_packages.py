"""Lay the packages of pyproject.toml out as a tree of links, the way an installed wheel has them.

mypy follows neither import hooks nor setuptools' package-dir, so it is given this tree.
"""

import shutil
import sys
from pathlib import Path

from setuptools.config.pyprojecttoml import read_configuration


def link_packages(root: Path, target: Path) -> None:
    """Create ``target/<package>/<module>.py`` links for every package of ``root``."""
    shutil.rmtree(target, ignore_errors=True)
    setuptools_table = read_configuration(root / "pyproject.toml")["tool"]["setuptools"]
    for package, folder in setuptools_table["package-dir"].items():
        package_folder = target / package.replace(".", "/")
        package_folder.mkdir(parents=True, exist_ok=True)
        for source in (root / folder).iterdir():
            if source.is_file():
                (package_folder / source.name).symlink_to(source.resolve())


if __name__ == "__main__":
    link_packages(Path(__file__).resolve().parents[1], Path(sys.argv[1]).resolve())
