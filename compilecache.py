"""A cache of compiled files: each is built once, in a folder that only this user can write, and loaded only if whole.

A path may have spaces or worse in it, and Verilator hands paths to make and to a shell. So everything is built in a
folder whose path has plain characters only (`cache_folder`), and files elsewhere are named by links in it
(`plain_path`).
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

# Variables that would change a build unseen: options for make and compilers.
_IGNORED = {"GNUMAKEFLAGS", "MAKEFILES", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
_IGNORED |= {"CC", "CFLAGS", "CPPFLAGS", "CXX", "CXXFLAGS", "LDFLAGS", "LDLIBS"}


class ToolError(Exception):
    """A compiler failed.

    Attributes:
        tool: its name.
        output: what it printed.
        signal: the signal that ended it, or 0.
    """

    def __init__(self, tool: str, output: str, signal: int) -> None:
        super().__init__(tool)
        self.tool, self.output, self.signal = tool, output, signal


def cache_folder(kind: str) -> Path:
    """The folder for files that take long to make: `narrowgauge/KIND` in `$XDG_CACHE_HOME` or `~/.cache`.

    It belongs to this user, nobody else may write there, and its path has only letters, digits and `. _ + - /`. Where
    neither folder can be used, it is a folder of this user among the system's temporary files.

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
        "there is no folder to compile in; set XDG_CACHE_HOME to a folder that you can write, "
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
        # Anybody may write there: the last part must be a folder, not a link that somebody else made.
        yield Path(temporary).resolve() / f"narrowgauge-{os.geteuid()}"


def _owned(folder: Path) -> Path:
    """A folder of this user that nobody else can write, made when missing.

    Raises:
        OSError: it is somebody else's, is no folder, or can't be made or written.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not a folder of this user")
    if found.st_mode & 0o022:
        folder.chmod(stat.S_IMODE(found.st_mode) & ~0o022)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} can't be written")
    return folder


def plain_path(path: Path) -> Path:
    """A name of `path` that make and shells can take: itself, or a link to it in the cache."""
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
    """The processor and the C library, for keys of caches: a file compiled for others may not run here."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return " ".join((platform.machine(), *platform.libc_ver(), flags))


def compiled(
    kind: str, name: str, key: Sequence[str], sources: Sequence[Path], make: Callable[[Path], None]
) -> Path:
    """The file `name` that `make` compiles, from the cache where it is there and whole.

    Two processes that want the same file compile it once. A file that is cut off, changed or not this user's is
    compiled again.

    Args:
        kind: part of the cache.
        name: of the file.
        key: what it depends on apart from `sources` and this machine: options, versions of compilers.
        sources: files that it is made of.
        make: compiles; it takes an empty folder, in which it leaves the file.

    Raises:
        UserError: a compiler failed (the sentence names the file with its output), or the disk is full.
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
    # Remains of a killed process, and files that are not whole.
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
        made = Path(work, target.name)
        checksum = Path(work, "sha256")
        checksum.write_text(sha256(made), encoding="utf-8")
        for file, place in ((checksum, _checksum_file(target)), (made, target)):
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
    """Whether a file of the cache has its checksum, and nobody but this user can have written it."""
    try:
        for path, is_kind in (
            (target.parent, stat.S_ISDIR),
            (target, stat.S_ISREG),
            (_checksum_file(target), stat.S_ISREG),
        ):
            found = path.lstat()
            if not is_kind(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                return False
        return _checksum_file(target).read_text(encoding="utf-8") == sha256(target)
    except (OSError, ValueError):
        return False


def _unusable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"{folder} can't be compiled in ({error.strerror or error}); "
        "free some space, or set XDG_CACHE_HOME to another folder."
    )


def load(library: Path) -> ctypes.CDLL:
    """A shared library of the cache.

    Raises:
        UserError: the system refuses it, for instance in a folder from which nothing may be executed.
    """
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise UserError(
            f"{library.name} can't be loaded ({printable(str(error))}); remove {library.parent}, "
            "or set XDG_CACHE_HOME to a folder from which programs can be run."
        ) from None


def execute(
    command: Sequence[str], work: Path, variables: Mapping[str, str] | None = None, *, tool: str = ""
) -> str:
    """Runs a compiler in the folder `work`, which is also its place for temporary files, and gives what it prints.

    Args:
        command: its words; no shell sees them.
        work: the folder.
        variables: of the environment, in addition to those of this process less options for make and compilers.
        tool: its name for messages; "" takes that of the command.

    Raises:
        ToolError: it failed.
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
