"""docker's --mount spelling as mounts."""

from __future__ import annotations

import pytest

from xrun.errors import InvalidValue
from xrun.specs.mounts import BindMount, DeviceMount, Mount, VolumeMount, parse_mounts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=bind,src=/a,dst=/b", [BindMount("/a", "/b")]),
        ("type=bind,source=/a,target=/b,readonly", [BindMount("/a", "/b", read_only=True)]),
        ("type=bind,src=/a,destination=/b,ro", [BindMount("/a", "/b", read_only=True)]),
        ("type=bind,src=/a,dst=/b,readonly=true", [BindMount("/a", "/b", read_only=True)]),
        ("type=bind,src=/a,dst=/b,readonly=1", [BindMount("/a", "/b", read_only=True)]),
        ("type=bind,src=/a,dst=/b,readonly=false", [BindMount("/a", "/b")]),
        ("type=volume,dst=/b,src=v,readonly", [VolumeMount("v", "/b", read_only=True)]),
        ("type=device,src=/dev/fuse", [DeviceMount("/dev/fuse", "/dev/fuse", "rwm")]),
        ("type=device,src=/dev/a,dst=/dev/b,perm=r", [DeviceMount("/dev/a", "/dev/b", "r")]),
        ("type=bind,src=/a=b,dst=/c", [BindMount("/a=b", "/c")]),
        (
            "type=bind,src=/a,dst=/b,type=volume,src=v,dst=/c,type=device,src=/d",
            [BindMount("/a", "/b"), VolumeMount("v", "/c"), DeviceMount("/d", "/d")],
        ),
        (" type=bind, src=/a, dst=/b", [BindMount("/a", "/b")]),
    ],
)
def test_what_is_read(text: str, expected: list[Mount]) -> None:
    assert parse_mounts(text.split(",")) == expected


def test_nothing_is_no_mount() -> None:
    assert parse_mounts([]) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("src=/a,type=bind", "'src=/a' is no part of a mount; the grammar is type=bind"),
        ("type=bind,size=5,src=/a,dst=/b", "'size=5' is no part of a mount"),
        ("type=bind,src,dst=/b", "'src' is no part of a mount"),
        ("type=bind,,src=/a", "'' is no part of a mount"),
        ("/a:/b", "'/a:/b' is no part of a mount"),
        ("type=nfs,src=/a,dst=/b", "mount type 'nfs' is not one of bind, volume, device"),
        ("type=,src=/a,dst=/b", "mount type '' is not one of"),
        ("type=bind,src=/a", "a bind mount needs src and dst"),
        ("type=volume,dst=/a", "a volume mount needs src and dst"),
        ("type=device,dst=/dev/a", "a device mount needs src and dst"),
        ("type=bind,src=/a,source=/b,dst=/c", "'source=/b' is given twice for one mount"),
        ("type=bind,src=/a,dst=/c,readonly=maybe", "'maybe' is not a bool"),
        ("type=bind,src=/a,dst=/b,perm=r", "a bind mount has no perm"),
        ("type=device,src=/a,readonly", "a device mount has no readonly"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_mounts(text.split(","))

    assert str(caught.value).startswith(message)
