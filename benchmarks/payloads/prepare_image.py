"""Has an image with a workspace on an engine, as a submission does: prepare_image.py HOST IMAGE FOLDER CACHE."""

from __future__ import annotations

import sys

from xrun.schedulers.docker.client import Engine
from xrun.schedulers.docker.images import Images
from xrun.specs.workspace import Workspace

host, image, folder, cache = sys.argv[1:]
print(Images(Engine(host), cache=cache).prepare(image, Workspace({folder: ""})))
