"""The overlay of a board: its files, what pynq reads from them, and which process uses the device."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pynq

from ..compilecache import cache_folder
from ..files import write_atomic
from ..hw.host.build import DEPLOY_FOLDER
from .dma import DMA_TYPE, DriverError

ENGINE_TYPE = "xilinx.com:module_ref:narrowgauge:1.0"
"""The VLNV of the engine in a block design."""

_DIGITS = 12
"""Digits of the hash in the name of an overlay."""

_LOCKS = Path("/run/lock")


def find_bitfile(path: Path) -> Path:
    """The bitstream of a build.

    Args:
        path: of a .bit file; or the folder of a build, or its part that was copied to a board.

    Raises:
        DriverError: there is none, there are several, or the .hwh is missing.
    """
    if path.suffix == ".bit":
        found = [path] if path.is_file() else []
    else:
        found = sorted(path.glob("*.bit")) or sorted(path.glob(f"{DEPLOY_FOLDER}/*.bit"))
    if not found:
        raise DriverError(f"there is no bitstream in {path}; docs/board.md says how to build one.")
    if len(found) > 1:
        raise DriverError(f"{found[0].parent} must have one .bit file, got {len(found)}; give one of them.")
    if not found[0].with_suffix(".hwh").is_file():
        raise DriverError(f"{found[0].with_suffix('.hwh')} is missing; copy it next to the .bit file.")
    return found[0]


def named_by_content(bitfile: Path) -> Path:
    """A bitstream whose name has a hash of its content and of its .hwh.

    pynq keeps what it has read of an overlay, and may use it for another one with the same path (PYNQ, issue 1409). The
    file itself if it is named so, or else a copy in the user's cache.
    """
    contents = {suffix: bitfile.with_suffix(suffix).read_bytes() for suffix in (".bit", ".hwh")}
    digest = hashlib.sha256(b"".join(contents.values())).hexdigest()[:_DIGITS]
    if bitfile.stem.endswith(f"-{digest}"):
        return bitfile
    copy = cache_folder("overlays") / f"{bitfile.stem}-{digest}.bit"
    for suffix, content in contents.items():
        place = copy.with_suffix(suffix)
        if not place.exists() or place.read_bytes() != content:
            write_atomic(place, content)
    return copy


def load_overlay(bitfile: Path, device: Any) -> Any:
    """Loads a bitstream into a device: a stock `pynq.Overlay`.

    Raises:
        DriverError: pynq refuses it.
    """
    try:
        return pynq.Overlay(str(named_by_content(bitfile)), device=device)
    except Exception as error:
        # pynq does not check its files: a damaged one ends in whatever its parsers raise.
        raise DriverError(
            f"{bitfile} can't be loaded ({str(error) or type(error).__name__}); run as root, and use the "
            "bitstream of this board, with the .hwh file of the same run of Vivado."
        ) from error


def check_addresses(overlay: Any) -> None:
    """Checks that the addresses that pynq has are those in the .hwh of the overlay, before any of them is used.

    An access to an address without an IP stops the processor of a Zynq.

    Raises:
        DriverError: an address differs.
    """
    hwh = hwh_of(overlay)
    ranges = {
        entry.get("INSTANCE"): entry.get("BASEVALUE") for entry in ElementTree.parse(hwh).iter("MEMRANGE")
    }
    for kind in (ENGINE_TYPE, DMA_TYPE):
        name, description = find_ip(overlay, kind)
        told, used = ranges.get(name), description["phys_addr"]
        if told is None or int(told, 16) != used:
            raise DriverError(
                f"pynq has cached another overlay: {name!r} is at {told} in {hwh.name}, and at {used:#x} for pynq; "
                "restart the board."
            )


def find_ip(overlay: Any, kind: str) -> tuple[str, dict[str, Any]]:
    """The name and the description of the only IP of a kind.

    Args:
        overlay: of pynq.
        kind: its VLNV.

    Raises:
        DriverError: there is not exactly one.
    """
    found = {name: ip for name, ip in overlay.ip_dict.items() if ip.get("type") == kind}
    if len(found) != 1:
        raise DriverError(
            f"the overlay must have one IP of the type {kind}, got {len(found)}; it has "
            f"{', '.join(sorted(overlay.ip_dict)) or 'none at all'}."
        )
    ((name, description),) = found.items()
    return name, description


def lock_device(device: Any) -> int:
    """Locks a device for this process: a descriptor, which holds the lock until it is closed.

    Raises:
        DriverError: another process has locked it, or another board of this one.
    """
    folder = _LOCKS if os.access(_LOCKS, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    path = folder / f"narrowgauge-{''.join(c if c.isalnum() else '-' for c in str(device.tag))}.lock"
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        # Not created if it exists: a system may refuse that for the file of another user.
        handle = os.open(path, flags)
    except FileNotFoundError:
        handle = os.open(path, flags | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise DriverError(
            f"the device {device.tag} is in use by another program; close it, or shut down the kernel of its notebook."
        ) from None
    return handle


def unlock_device(handle: int) -> None:
    """Ends the lock of `lock_device`, also where a process that was forked has a copy of the descriptor."""
    fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


def hwh_of(overlay: Any) -> Path:
    """The .hwh file of an overlay."""
    return Path(overlay.bitfile_name).with_suffix(".hwh")
