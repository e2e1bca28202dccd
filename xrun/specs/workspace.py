"""Which local code travels with a job."""

from __future__ import annotations

from dataclasses import dataclass, field

from xrun.errors import InvalidValue


@dataclass
class Workspace:
    """Folders or fsspec URLs, each with the place inside the job's working directory where it goes.

    Attributes:
        projects: source -> folder below the job's working directory (``""`` is that directory itself).
    """

    projects: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.projects)

    @staticmethod
    def from_str(text: str) -> Workspace:
        """A workspace from ``DIR`` or ``dst=DIR[,dst=DIR...]``; an empty text is no workspace.

        Raises:
            InvalidValue: a part without a source.
        """
        projects: dict[str, str] = {}
        for part in filter(None, text.split(",")):
            dst, equals, src = part.partition("=")
            if equals and not src:
                raise InvalidValue(f"workspace {part!r} has no source; write DIR or dst=DIR")
            projects[src if equals else part] = dst if equals else ""
        return Workspace(projects)
