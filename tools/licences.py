"""Lists the licences of the installed packages that ann2sdnn needs: `make licences`."""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

_SHORTEST = 60  # characters of a licence that is given as its whole text


def needed(name: str, seen: set[str]) -> Iterator[Distribution]:
    """The package ``name`` and all that it needs, each once, without extras."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen:
        return
    seen.add(key)
    try:
        found = distribution(name)
    except PackageNotFoundError:  # for another system or version of Python
        return
    yield found
    for requirement in found.requires or ():
        if "extra ==" not in requirement:
            yield from needed(re.split(r"[^\w.-]", requirement, maxsplit=1)[0], seen)


def licence(found: Distribution) -> str:
    """The licence as the package declares it: an expression, classifiers, or a line."""
    data = found.metadata
    classifiers = [
        text.split(" :: ")[-1]
        for text in data.get_all("Classifier") or ()
        if text.startswith("License ::")
    ]
    line = (data.get("License") or "").strip().splitlines()
    stated = data.get("License-Expression") or ", ".join(classifiers)
    return stated or (line[0][:_SHORTEST] if line else "not declared")


def main() -> None:
    """Print a row per package: name, version, licence."""
    packages = needed("ann2sdnn", set())
    rows = [(found.metadata["Name"], found.version, licence(found)) for found in packages]
    for name, version, text in sorted(rows, key=lambda row: row[0].lower()):
        sys.stdout.write(f"{name:<28}{version:<16}{text}\n")


if __name__ == "__main__":
    main()
