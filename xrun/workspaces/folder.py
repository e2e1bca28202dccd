"""A workspace as a folder, for backends whose nodes see the same files."""

from __future__ import annotations

import os

from xrun.specs.workspace import Workspace
from xrun.workspaces.layer import pieces
from xrun.workspaces.sources import opened
from xrun.workspaces.tree import FOLDER, LINK, PROGRAM, Notice, select


def copy(workspace: Workspace, folder: str, notice: Notice = lambda _: None) -> None:
    """Makes a folder with what travels of a workspace.

    Args:
        workspace: the code.
        folder: a folder that isn't there yet.
        notice: takes lines about what may surprise.

    Raises:
        InvalidJob: the workspace is not there or can't be read.
        OSError: the folder can't be written.
    """
    with opened(workspace) as sources:
        entries = select(sources, notice)
        os.mkdir(folder)
        for entry in entries:
            target = os.path.join(folder, entry.path)
            if entry.kind == FOLDER:
                os.makedirs(target, exist_ok=True)
            elif entry.kind == LINK:
                os.symlink(entry.target, target)
            else:
                mode = 0o755 if entry.kind == PROGRAM else 0o644
                with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                    file.writelines(pieces(entry))
