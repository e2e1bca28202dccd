"""Property tests here have no deadline: on a busy machine a single example may take any time."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("specs", deadline=None)
settings.load_profile("specs")
