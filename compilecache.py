"""A cache of compiled files. Each is built once, in a folder that only this user can write, and checked when loaded.

Paths may contain spaces and special characters, and Verilator passes paths to make and to a shell. Everything is
therefore built in a folder whose path has only plain characters (`cache_folder`), and files elsewhere are reached by
links in it (`plain_path`).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .errors import UserError, printable
from .files import locked_folder, sha256, write_atomic

_PLAIN = re.compile(r"/[A-Za-z0-9._/+-]*")
_LOG = "build.log"

# Variables that would silently change a build: options for make and compilers.
_IGNORED = {"GNUMAKEFLAGS", "MAKEFILES", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
_IGNORED |= {"CC", "CFLAGS", "CPPFLAGS", "CXX", "CXXFLAGS", "LDFLAGS", "LDLIBS"}


class ToolError(Exception):
    """A compiler failed.

    Attributes:
        tool: name of the compiler.
        output: its output.
        signal: the signal that terminated it, or 0.
    """

    def __init__(self, tool: str, output: str, signal: int) -> None:
        super().__init__(tool)
        self.tool, self.output, self.signal = tool, output, signal


def cache_folder(kind: str) -> Path:
    """The folder for files that take long to create: `narrowgauge/KIND` in `$XDG_CACHE_HOME` or `~/.cache`.

    It belongs to this user, only this user may write there, and its path has only letters, digits and `. _ + - /`. If
    neither folder can be used, it is a folder of this user in the system's folder for temporary files.

    Raises:
        UserError: no folder can be used.
    """
    for folder in _candidates():
        try:
            if _PLAIN.fullmatch(str(folder)):
                folder.parent.mkdir(parents=True, exist_ok=True)
                return _owned(_owned(folder) / kind)
        except OSError:
            continue
    raise UserError(
        "no folder can be used for compilation; set XDG_CACHE_HOME to a folder that you can write to, "
        "with only letters, digits and . _ + - / in its path."
    )


def _candidates() -> Iterator[Path]:
    base = os.environ.get("XDG_CACHE_HOME", "")
    if Path(base).is_absolute():
        yield (Path(base) / "narrowgauge").resolve()
    home = os.environ.get("HOME", "")
    if not Path(home).is_absolute():
        try:
            home = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            home = ""
    if Path(home).is_absolute():
        yield (Path(home) / ".cache" / "narrowgauge").resolve()
    for temporary in filter(None, (os.environ.get("TMPDIR"), "/tmp", "/var/tmp")):
        # This folder is writable by all users: the last part must be a folder, not a link of another user.
        yield Path(temporary).resolve() / f"narrowgauge-{os.geteuid()}"


def _owned(folder: Path) -> Path:
    """A folder that only this user can write to, created if it is missing.

    Raises:
        OSError: it belongs to another user, is not a folder, or cannot be created or written to.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not a folder of this user")
    if status.st_mode & 0o022:
        folder.chmod(stat.S_IMODE(status.st_mode) & ~0o022)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} cannot be written")
    return folder


def plain_path(path: Path) -> Path:
    """A path without special characters for make and shells: `path` itself, or a link to it in the cache."""
    whole = path.absolute()
    if _PLAIN.fullmatch(str(whole)):
        return whole
    name = hashlib.sha256(os.fsencode(whole)).hexdigest()[:24]
    link = cache_folder("links") / name
    try:
        if link.is_symlink() and link.readlink() == whole:
            return link
        for old in link.parent.iterdir():
            # Links whose target no longer exists.
            if old.is_symlink() and not old.exists():
                old.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=link.parent) as work:
            Path(work, name).symlink_to(whole)
            Path(work, name).replace(link)
    except OSError as error:
        raise _unusable(link.parent, error) from None
    return link


def machine() -> str:
    """The processor and the C library, for cache keys: a file compiled for others may not run here."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return " ".join((platform.machine(), *platform.libc_ver(), flags))


def compiled(
    kind: str, name: str, key: Sequence[str], sources: Sequence[Path], make: Callable[[Path], None]
) -> Path:
    """The file `name` compiled by `make`, or its cached copy.

    Two processes that need the same file compile it once. A cached file that is truncated, changed or owned by another
    user is compiled again.

    Args:
        kind: part of the cache.
        name: name of the file.
        key: dependencies other than `sources` and this machine: options, versions of compilers.
        sources: source files.
        make: the function that compiles. It receives an empty folder and writes the file there.

    Raises:
        UserError: a compiler failed (the message names the file with its output), or the disk is full.
    """
    digest = hashlib.sha256(repr((name, list(key), machine())).encode())
    for source in sources:
        digest.update(f"\0{source.name}\0".encode() + source.read_bytes())
    folder = cache_folder(kind) / f"{Path(name).stem}-{digest.hexdigest()[:24]}"
    target = folder / name
    if _is_whole(target):
        return target
    try:
        _owned(folder)
        with locked_folder(folder, "build", wait=True):
            if not _is_whole(target):
                _make(target, make)
    except OSError as error:
        raise _unusable(folder, error) from None
    return target


def _make(target: Path, make: Callable[[Path], None]) -> None:
    folder = target.parent
    # Leftovers of a killed process, and damaged files.
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    with tempfile.TemporaryDirectory(dir=folder) as work:
        try:
            make(Path(work))
        except ToolError as error:
            log = folder / _LOG
            write_atomic(log, error.output)
            raise UserError(
                f"{error.tool} could not compile {target.stem} ({_reason(error)}); its output is in {log}."
            ) from None
        output = Path(work, target.name)
        checksum = Path(work, "sha256")
        checksum.write_text(sha256(output), encoding="utf-8")
        for file, place in ((checksum, _checksum_file(target)), (output, target)):
            file.chmod(0o700)
            file.replace(place)


def _reason(error: ToolError) -> str:
    if error.signal:
        return f"ended by signal {error.signal}"
    lines = [line.strip() for line in error.output.splitlines() if line.strip()]
    return printable(next((line for line in lines if "error" in line.lower()), (lines or ["no message"])[-1]))


def _checksum_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _is_whole(target: Path) -> bool:
    """Whether a file of the cache matches its checksum and is writable only by this user."""
    try:
        for path, is_kind in (
            (target.parent, stat.S_ISDIR),
            (target, stat.S_ISREG),
            (_checksum_file(target), stat.S_ISREG),
        ):
            status = path.lstat()
            if not is_kind(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
                return False
        return _checksum_file(target).read_text(encoding="utf-8") == sha256(target)
    except (OSError, ValueError):
        return False


def _unusable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"{folder} cannot be used for compilation ({error.strerror or error}); "
        "free some space, or set XDG_CACHE_HOME to another folder."
    )


def load(library: Path) -> ctypes.CDLL:
    """Loads a shared library of the cache.

    Raises:
        UserError: the system refuses to load it, for instance from a file system mounted with noexec.
    """
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise UserError(
            f"{library.name} cannot be loaded ({printable(str(error))}); remove {library.parent}, "
            "or set XDG_CACHE_HOME to a folder that allows execution."
        ) from None


def execute(
    command: Sequence[str], work: Path, variables: Mapping[str, str] | None = None, *, tool: str = ""
) -> str:
    """Runs a compiler in the folder `work`, which is also its folder for temporary files, and returns its output.

    Args:
        command: the program and its arguments; no shell is used.
        work: the folder.
        variables: environment variables in addition to those of this process without options for make and compilers.
        tool: name for messages; "": the name of the command.

    Raises:
        ToolError: the command failed.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _IGNORED}
    environment |= {**(variables or {}), "TMPDIR": str(work), "LC_ALL": "C"}
    done = subprocess.run(
        command, cwd=work, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    output = done.stdout + done.stderr
    if done.returncode:
        raise ToolError(tool or Path(command[0]).name, output, max(0, -done.returncode))
    return output
