"""The packages that xrun's own metadata asks for, and whether they are installed."""

from __future__ import annotations

import re
from typing import NamedTuple

# what setup.cfg writes, which a test holds to this form: name[extra]>=1.2; extra == "x"
_FORM = re.compile(r'([A-Za-z0-9._-]+)(?:\[([a-z,]+)\])?(?:>=([0-9.]+))?(?:; extra == "([a-z]+)")?')


class Requirement(NamedTuple):
    """A package.

    Attributes:
        name: its name.
        least: the oldest version that will do; empty for any.
        installed: the version that is installed; empty for none.
    """

    name: str
    least: str
    installed: str

    @property
    def wants(self) -> str:
        """What is wrong with it; empty if nothing is."""
        if not self.installed:
            return f"{self} is not installed"
        return "" if _number(self.installed) >= _number(self.least) else f"{self} is needed, {self.installed} is there"

    def __str__(self) -> str:
        return f"{self.name}>={self.least}" if self.least else self.name


def extras() -> list[str]:
    """The extras that xrun has; none if it is not installed as a package."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        return metadata("xrun").get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return []


def of_extra(extra: str) -> list[Requirement] | None:
    """What an extra needs, those of other extras in it included.

    Args:
        extra: its name; empty for what xrun itself needs.

    Returns:
        The packages; None if xrun is not installed as a package.
    """
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires("xrun") or []
    except PackageNotFoundError:
        return None
    found = []
    for line in lines:
        m = _FORM.fullmatch(line)
        if m and (m[4] or "") == extra:
            if m[1] == "xrun":
                for inner in m[2].split(","):
                    found += of_extra(inner) or []
            else:
                found.append(Requirement(m[1], m[3] or "", _installed(m[1])))
    return found


def command(wanting: list[Requirement]) -> str:
    """The command that installs packages.

    It names them and not xrun[extra]: where xrun comes from a folder, an index may have another xrun, or none.
    """
    import shlex

    return f"pip install {shlex.join(map(str, wanting))}"


def _installed(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name) or "?"
    except PackageNotFoundError:
        return ""


def _number(version: str) -> list[int]:
    """The numbers that a version begins with, zeros at the end dropped; enough for ``>=`` with a plain number."""
    numbers = [int(part) for part in re.match(r"[0-9.]*", version)[0].split(".") if part]  # type: ignore[index] # it matches always
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
