"""How local code travels with a job: which files, as which layer over an image. Talks to no system.

`sources` says where files come from, `ignore` which of them stay at home, `tree` what is left, `manifest` what it
hashes to, `layer` what it is as a tar archive. `builder` makes an image of it in an `ImageStore`,
which a scheduler's client is; `folder` copies it.

What travels of a source, a folder or an fsspec URL:

- Exactly one kind of file decides what stays at home: ``.xrunignore`` if the source's top folder has one, else
  ``.dockerignore``, else ``.gitignore``. The first and the last have git's rules, further ones in the folders below
  included (a ``.gitignore`` of the folders above, up to the repository's top, counts too); ``.dockerignore`` has
  Docker's: patterns start at the top, and a later ``!pattern`` brings back what an earlier one left out, whatever
  folder it is in.
- ``.git`` never travels, ``Dockerfile.xrun`` always does.
- Files with their contents and whether they can be executed, empty folders, and symbolic links as they are. Owner, time
  and other permissions don't: all is root's, readable by all, from 1 January 1980.
- Sockets, pipes and devices stay at home, and that is said; so is a link that leads out of its source.
"""

from __future__ import annotations

from xrun.workspaces.builder import BASE, HASH, ImageStore, Layer, StoredImage, build
from xrun.workspaces.folder import copy
from xrun.workspaces.sources import local_folder
from xrun.workspaces.tree import DOCKERFILE

__all__ = ["BASE", "DOCKERFILE", "HASH", "ImageStore", "Layer", "StoredImage", "build", "copy", "local_folder"]
