"""Files: atomic writes and checksums, so that nothing half-written or edited is ever taken for the real thing."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import math
import os
import stat
import string
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import UserError, printable

_NAME = 50
"""Characters of a file's name that the name of its temporary file begins with: the whole may be too long for that."""


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes `data` to `path` so that a reader sees the old content or the new, never a part; see `replace_atomic`.

    `str` is encoded as UTF-8.
    """
    content = data.encode() if isinstance(data, str) else data
    replace_atomic(path, lambda temporary: temporary.write_bytes(content))


class _Template(string.Template):
    """The delimiter of the standard library, `$`, is that of variables in Tcl and make."""

    delimiter = "@"


def fill_template(path: Path, **values: str) -> str:
    """The text of a template file: each `@{NAME}` is replaced by a value. There is no other syntax.

    Raises:
        KeyError: the template has a name without a value.
        ValueError: the template has an "@" without a name.
    """
    return _Template(path.read_text(encoding="utf-8")).substitute(values)


def append_text(path: Path, text: str) -> None:
    """Writes `text` at the end of a file, which is made when missing.

    Raises:
        OSError: it can't be written; the error names the file.
    """
    with _naming(path, path), path.open("a", encoding="utf-8") as file:
        file.write(text)


def replace_atomic(path: Path, write: Callable[[Path], Any]) -> None:
    """Calls `write(temporary)` with a path of `path`'s suffix, and brings what it wrote to `path`.

    For libraries that want a file name rather than bytes. A regular file, or one that is yet to be, is replaced as a
    whole, once its new content is on the disk; missing parents are made. Only what a link leads to is replaced, never
    the link. A device or a FIFO is written to. The temporary file is removed when `write` raises.

    Raises:
        UserError: `path` is a folder or a socket.
        OSError: it can't be written.
    """
    if _is_special(path):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, f"content{path.suffix}")
            write(temporary)
            with _naming(path, temporary):
                _write_to_special(path, temporary.read_bytes())
        return
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.name[:_NAME]}.", suffix=target.suffix[:_NAME]
    )
    os.close(handle)
    temporary = Path(name)
    try:
        with _naming(path, temporary):
            write(temporary)
            temporary.chmod(_mode(target))
            synchronize(temporary)
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    synchronize(target.parent)


@contextmanager
def _naming(path: Path, temporary: Path) -> Iterator[None]:
    """An OSError that names no file, as that of a full disk, or the temporary one, names `path`."""
    try:
        yield
    except OSError as error:
        # After a failed rename the second name is the one that the user gave.
        if error.errno is None or (error.filename2 or error.filename) not in (
            None,
            temporary,
            str(temporary),
        ):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


def _mode(path: Path) -> int:
    """The permissions of a file; where there is none, those that a new one gets: mkstemp gives 0600."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def synchronize(path: Path) -> None:
    """Waits until a file's content, or a folder's names, are on the disk.

    Raises:
        OSError: they can't be written.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems have no such thing for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _is_special(path: Path) -> bool:
    """Whether `path` is written to, not replaced: a device, a FIFO, or a file that is one of the standard streams.

    Raises:
        UserError: it is a folder, or nothing that can be written.
    """
    kind = _kind(path)
    if kind in (None, "a regular file"):
        # What the shell sends standard output to: replaced, it would lose what was printed.
        return _own_stream(path) is not None
    if kind not in ("a device", "a FIFO"):
        raise UserError(f"{path} is {kind}; give a file.")
    return True


def _write_to_special(path: Path, content: bytes) -> None:
    """Writes to a device or a FIFO, or to a standard stream, after what was printed."""
    own = _own_stream(path)
    if own is not None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    # Not "wb": a device is not made, and not cut to length.
    handle = os.dup(own) if own is not None else os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    with os.fdopen(handle, "wb") as out:
        out.write(content)


def _own_stream(path: Path) -> int | None:
    """The descriptor of the standard stream that `path`, for instance /dev/stdout, is; None where it is none."""
    for descriptor in (1, 2):
        try:
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        except OSError:
            pass
    return None


def _kind(path: Path) -> str | None:
    """What `path` is, links followed; None where there is nothing."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "of an unknown kind")


def check_target(path: Path, folder: bool = False) -> None:
    """Checks that `path` can be written, as far as that can be known before: for results that take long to compute.

    Args:
        path: of a file, or of a folder; parents that are missing will be made.
        folder: whether it will be a folder.

    Raises:
        UserError: something of the other kind is there, or a parent is no folder, or can't be written to.
    """
    kind, name = "folder" if folder else "file", printable(str(path))
    try:
        if path.exists() and path.is_dir() is not folder:
            raise UserError(f"{name} must be a {kind}; give another name.")
        if not folder and _is_special(path):
            place = path
        else:
            # A file is replaced, which takes the right to write to its folder.
            real = Path(os.path.realpath(path))
            ways = (real, *real.parents) if folder else real.parents
            place = next(way for way in ways if os.path.lexists(way))
            if not place.is_dir():
                raise UserError(f"{name} can't be written, {place} is no folder; give another name.")
        if not os.access(place, os.W_OK):
            raise UserError(f"{name} can't be written; give a name in a folder that you can write to.")
    except OSError as error:
        raise UserError(f"{name} can't be written ({error.strerror}); give another name.") from None


def readable_file(path: Path, most: int) -> Path:
    """`path`, once it is known to be a regular file (or a link to one) of at most `most` bytes.

    To be asked before any file from outside is opened: reading from a FIFO waits for ever, a device may never end, and
    a sparse file takes no room on the disk and all of it in memory.

    Raises:
        UserError: it is of another kind, or larger.
        OSError: it does not exist or can't be looked at.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path} is {_kind(path)}; give a regular file.")
    if found.st_size > most:
        raise UserError(
            f"{path} must have at most {most:,} bytes and has {found.st_size:,}; give another file."
        )
    return path


_KINDS = (
    (stat.S_ISREG, "a regular file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


@contextmanager
def locked_folder(path: Path, user: str, *, wait: bool = False) -> Iterator[None]:
    """Holds a lock on the folder `path` that no other process gets; the kernel lets go of it when this one ends.

    The folder is made when missing. It is removed again, with the parents that were made for it, if it is still empty
    at the end: what was refused leaves nothing behind.

    Args:
        path: the folder. It may be empty, and what is in it does not matter: the lock is on the folder itself.
        user: who holds such a lock, for the message, for instance "training".
        wait: for the end of whoever holds the lock, rather than refuse.

    Raises:
        UserError: another process, or another call in this one, holds the lock.
        OSError: the folder can't be made or opened.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    handle = _open_locked(path, user, wait)
    try:
        yield
    finally:
        for folder in made:
            try:
                folder.rmdir()
            except OSError:
                break
        os.close(handle)


def _open_locked(path: Path, user: str, wait: bool) -> int:
    """A descriptor of the folder that `path` names, locked."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise UserError(
                    f"another {user} is at work in {path}; wait for its end, or give another folder."
                ) from None
            except OSError:
                # Some network file systems have no locks: there nothing is promised, and nothing is refused.
                return handle
            try:
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
            except FileNotFoundError:
                pass
        except BaseException:
            os.close(handle)
            raise
        # Whoever held the lock removed the folder before this call got it: begin again.
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, atomically, with a final newline.

    Raises:
        ValueError: a number in it is not finite.
    """
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


_MOST_JSON = 1 << 30
"""Bytes of a JSON file: the record of a program that fills an engine has some megabytes."""


def parse_json(text: str) -> Any:
    """The value in a JSON text, as the standard has it: every number finite, no name twice in an object.

    Raises:
        ValueError: the text is not JSON.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_object)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the name {twice!a} is used twice in one object")
    return value


def read_json(path: Path) -> Any:
    """The value in a JSON file, see `parse_json`.

    Raises:
        UserError: the file is missing, is not JSON, or is no file for `readable_file`.
    """
    try:
        return parse_json(readable_file(path, _MOST_JSON).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give the folder that an earlier step wrote.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not valid JSON ({printable(str(error))}); restore it or make it again."
        ) from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
