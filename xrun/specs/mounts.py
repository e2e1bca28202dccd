"""What a replica sees of other file systems and devices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from xrun.errors import InvalidValue


class MountType(str, Enum):
    """The kinds of mount that `parse_mounts` reads."""

    BIND = "bind"
    VOLUME = "volume"
    DEVICE = "device"


@dataclass
class BindMount:
    """A path of the host, seen inside the replica."""

    src_path: str
    dst_path: str
    read_only: bool = False


@dataclass
class VolumeMount:
    """A named volume of the system (a docker volume, a PersistentVolumeClaim), seen inside the replica."""

    src: str
    dst_path: str
    read_only: bool = False


@dataclass
class DeviceMount:
    """A device file of the host; permissions are letters of ``rwm`` (read, write, mknod)."""

    src_path: str
    dst_path: str
    permissions: str = "rwm"


Mount = BindMount | VolumeMount | DeviceMount

_KEYS = {"type": "type", "src": "src", "source": "src", "dst": "dst", "destination": "dst", "target": "dst"}
_FLAGS = {"readonly": "readonly", "ro": "readonly"}
_GRAMMAR = "type=bind|volume|device,src=PATH,dst=PATH[,readonly|,perm=rwm]"


def parse_mounts(opts: Iterable[str]) -> list[Mount]:
    """Mounts from docker's ``--mount`` spelling, split at commas as TorchX's components do.

    Args:
        opts: words such as ``["type=bind", "src=/data", "dst=/data", "readonly", "type=volume", ...]``; each ``type=``
            begins another mount.

    Raises:
        InvalidValue: a word that isn't of this grammar.
    """
    groups: list[dict[str, str]] = []
    for word in opts:
        key, equals, value = word.strip().partition("=")
        if key in _FLAGS and not equals:
            key, value = "readonly", "true"
        else:
            key = _KEYS.get(key, key)
        if key == "type":
            groups.append({})
        if not groups or key not in ("type", "src", "dst", "perm", "readonly"):
            raise InvalidValue(f"{word!r} is no part of a mount; the grammar is {_GRAMMAR}")
        groups[-1][key] = value
    return [_mount(group) for group in groups]


def _mount(group: dict[str, str]) -> Mount:
    kind, read_only = group["type"], group.get("readonly") == "true"
    if kind not in [t.value for t in MountType]:
        raise InvalidValue(f"mount type {kind!r} is not one of bind, volume, device")
    src, dst = group.get("src", ""), group.get("dst", "")
    if kind == MountType.DEVICE:
        return DeviceMount(src, dst or src, group.get("perm", "rwm"))
    if not src or not dst:
        raise InvalidValue(f"a {kind} mount needs src and dst; the grammar is {_GRAMMAR}")
    return BindMount(src, dst, read_only) if kind == MountType.BIND else VolumeMount(src, dst, read_only)
