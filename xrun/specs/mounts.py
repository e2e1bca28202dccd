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

_KEYS = {
    "type": "type",
    "src": "src",
    "source": "src",
    "dst": "dst",
    "destination": "dst",
    "target": "dst",
    "readonly": "readonly",
    "ro": "readonly",
    "perm": "perm",
}
_GRAMMAR = "type=bind|volume|device,src=PATH,dst=PATH[,readonly|,perm=rwm]"


def parse_mounts(opts: Iterable[str]) -> list[Mount]:
    """Mounts from docker's ``--mount`` spelling, split at commas as TorchX's components do.

    Args:
        opts: words such as ``["type=bind", "src=/data", "dst=/data", "readonly", "type=volume", ...]``; each ``type=``
            begins another mount.

    Raises:
        InvalidValue: a word that isn't of this grammar, or that this type of mount has no use for.
    """
    groups: list[dict[str, str]] = []
    for word in opts:
        name, equals, value = word.strip().partition("=")
        key = _KEYS.get(name, "")
        if key == "type":
            groups.append({})
        if not groups or not key or not (equals or key == "readonly"):
            raise InvalidValue(f"{word!r} is no part of a mount; the grammar is {_GRAMMAR}", code="XR037")
        if key in groups[-1]:
            raise InvalidValue(f"{word!r} is given twice for one mount; each type= begins another", code="XR037")
        groups[-1][key] = value if equals else "true"
    return [_mount(group) for group in groups]


def _mount(group: dict[str, str]) -> Mount:
    from xrun.specs.values import decode

    kind, src, dst = group["type"], group.get("src", ""), group.get("dst", "")
    if kind not in [t.value for t in MountType]:
        raise InvalidValue(f"mount type {kind!r} is not one of bind, volume, device", code="XR037")
    useless = "readonly" if kind == MountType.DEVICE else "perm"
    if useless in group:
        raise InvalidValue(f"a {kind} mount has no {useless}; the grammar is {_GRAMMAR}", code="XR037")
    dst = dst or (src if kind == MountType.DEVICE else "")
    if not src or not dst:
        raise InvalidValue(f"a {kind} mount needs src and dst; the grammar is {_GRAMMAR}", code="XR037")
    if kind == MountType.DEVICE:
        return DeviceMount(src, dst, group.get("perm", "rwm"))
    read_only: bool = decode(group.get("readonly", "false"), bool)
    return BindMount(src, dst, read_only) if kind == MountType.BIND else VolumeMount(src, dst, read_only)
