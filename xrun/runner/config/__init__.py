"""``xrun.toml``: which files apply, what stands in them, and what that means for a job.

`files` finds and reads them, `tables` says what may stand in one, `values` reads a single entry by its type, `config`
puts the files together. An entry that is wrong is an `InvalidConfig` that begins with its file and line. What belongs
to a scheduler or a component is looked at when that one is used, or all at once by `Config.check`.
"""

from __future__ import annotations

from xrun.runner.config.config import Config, load
from xrun.runner.config.files import ConfigFile

__all__ = ["Config", "ConfigFile", "load"]
