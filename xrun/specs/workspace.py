"""Which local code travels with a job."""

from __future__ import annotations

from dataclasses import dataclass, field

from xrun.errors import InvalidValue

GIT_ROOT = "git://"
"""The source that stands for the top of the git repository around the current folder, as it is on disk."""


@dataclass
class Workspace:
    """Folders, fsspec URLs or `GIT_ROOT`, each with the place inside the job's working directory where it goes.

    Attributes:
        projects: source -> folder below the job's working directory (``""`` is that directory itself).
    """

    projects: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.projects)

    def __str__(self) -> str:
        return ",".join(f"{dst}={src}" if dst else src for src, dst in self.projects.items())

    @staticmethod
    def from_str(text: str) -> Workspace:
        """A workspace from ``DIR`` or ``dst=DIR[,dst=DIR...]``; an empty text is no workspace.

        Raises:
            InvalidValue: a part without a source, or a source twice.
        """
        projects: dict[str, str] = {}
        for part in filter(None, text.split(",")):
            dst, equals, src = part.partition("=")
            if equals and not src:
                raise InvalidValue(f"workspace {part!r} has no source; write DIR or dst=DIR", code="XR039")
            source, place = (src, dst) if equals else (part, "")
            if source in projects:
                raise InvalidValue(f"workspace {text!r} has {source!r} twice; a source goes to one place", code="XR039")
            projects[source] = place
        return Workspace(projects)
