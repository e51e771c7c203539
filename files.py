"""Files: atomic writes, checksums, locks and strict JSON. Incomplete or edited files are detected."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import math
import os
import reprlib
import stat
import string
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UserError, printable

MAX_FILE = 1 << 40
"""Largest size of a file that an entry may state, in bytes."""

_NAME = 50
"""Length of the prefix of a file name that is used for its temporary file; the full name may be too long."""


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes `data` to `path` so that a reader sees either the old or the new content; see `replace_atomic`.

    `str` is encoded as UTF-8.
    """
    content = data.encode() if isinstance(data, str) else data
    replace_atomic(path, lambda temporary: temporary.write_bytes(content))


@dataclass(frozen=True)
class FileEntry:
    """The size in bytes and the SHA-256 of a file: `{"bytes": .., "sha256": ..}` in JSON."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> FileEntry:
        """The entry of a file with this content."""
        return cls(len(content), hashlib.sha256(content).hexdigest())

    @classmethod
    def from_json(cls, value: Any) -> FileEntry:
        """The entry that `to_json` gave `value` of.

        Raises:
            ValueError: a key is missing, unknown, of another type or out of range.
        """
        if not isinstance(value, dict) or value.keys() != {"bytes", "sha256"}:
            raise ValueError("a file must have the keys bytes and sha256, and no others")
        size, digest = value["bytes"], value["sha256"]
        if type(size) is not int or not 0 <= size <= MAX_FILE:
            raise ValueError(f"bytes must be 0 to {MAX_FILE}, got {reprlib.repr(size)}")
        if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ValueError(f"sha256 must be 64 hexadecimal digits, got {reprlib.repr(digest)}")
        return cls(size, digest)

    def to_json(self) -> dict[str, Any]:
        """The entry in JSON's types."""
        return {"bytes": self.size, "sha256": self.sha256}


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
    """Appends `text` to a file, which is created if it is missing.

    Raises:
        OSError: the file cannot be written; the error names it.
    """
    with _naming(path, path), path.open("a", encoding="utf-8") as file:
        file.write(text)


def replace_atomic(path: Path, write: Callable[[Path], Any]) -> None:
    """Calls `write(temporary)` with a path that has the suffix of `path`, then replaces `path` with the result.

    For libraries that need a file name rather than bytes. A regular or new file is replaced atomically, after its new
    content is on disk. Missing parent folders are created. If `path` is a link, its target is replaced, not the link. A
    device or a FIFO is written to. The temporary file is removed if `write` raises.

    Raises:
        UserError: `path` is a folder or a socket.
        OSError: `path` cannot be written.
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
    """Sets the file name of an OSError to `path` if it has none (full disk) or that of the temporary file."""
    try:
        yield
    except OSError as error:
        # After a failed rename, the second name is the one that the user gave.
        if error.errno is None or (error.filename2 or error.filename) not in (
            None,
            temporary,
            str(temporary),
        ):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


def _mode(path: Path) -> int:
    """The permissions of a file, or those of a new file if it does not exist (mkstemp uses 0600)."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def synchronize(path: Path) -> None:
    """Flushes the content of a file, or the entries of a folder, to disk.

    Raises:
        OSError: they cannot be written.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems do not support this for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _is_special(path: Path) -> bool:
    """Whether `path` is written to instead of replaced: a device, a FIFO, or a file that is a standard stream.

    Raises:
        UserError: it is a folder, or cannot be written to.
    """
    kind = _kind(path)
    if kind in (None, "a regular file"):
        # The target of a redirected standard output; replacing it would lose printed output.
        return _own_stream(path) is not None
    if kind not in ("a device", "a FIFO"):
        raise UserError(f"{path} is {kind}; give a file.")
    return True


def _write_to_special(path: Path, content: bytes) -> None:
    """Writes to a device or a FIFO, or to a standard stream after any printed output."""
    own = _own_stream(path)
    if own is not None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    # Not "wb": a device must be neither created nor truncated.
    handle = os.dup(own) if own is not None else os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    with os.fdopen(handle, "wb") as out:
        out.write(content)


def _own_stream(path: Path) -> int | None:
    """The descriptor of the standard stream that `path`, for instance /dev/stdout, refers to, or None."""
    for descriptor in (1, 2):
        try:
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        except OSError:
            pass
    return None


def _kind(path: Path) -> str | None:
    """The kind of file at `path`, with links followed; None if nothing exists there."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "of an unknown kind")


def check_target(path: Path, folder: bool = False) -> None:
    """Checks in advance, as far as possible, that `path` can be written, for results that take long to compute.

    Args:
        path: of a file or a folder; missing parents will be created.
        folder: whether it will be a folder.

    Raises:
        UserError: `path` is of the other kind, or a parent is not a folder or cannot be written to.
    """
    kind, name = "folder" if folder else "file", printable(str(path))
    try:
        if path.exists() and path.is_dir() is not folder:
            raise UserError(f"{name} must be a {kind}; give another name.")
        if not folder and _is_special(path):
            place = path
        else:
            # Replacing a file requires write permission for its folder.
            real = Path(os.path.realpath(path))
            ways = (real, *real.parents) if folder else real.parents
            place = next(way for way in ways if os.path.lexists(way))
            if not place.is_dir():
                raise UserError(f"{name} cannot be written, {place} is not a folder; give another name.")
        if not os.access(place, os.W_OK):
            raise UserError(f"{name} cannot be written; give a name in a folder that you can write to.")
    except OSError as error:
        raise UserError(f"{name} cannot be written ({error.strerror}); give another name.") from None


def readable_file(path: Path, most: int) -> Path:
    """Checks that `path` is a regular file (or a link to one) of at most `most` bytes, and returns it.

    Must be called before an input file is opened: reading a FIFO may block forever, a device may be endless, and a
    sparse file may exceed the memory.

    Raises:
        UserError: it is of another kind, or larger.
        OSError: it does not exist or cannot be accessed.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is {_kind(path)}; give a regular file.")
    if status.st_size > most:
        raise UserError(
            f"{path} must have at most {most:,} bytes, got {status.st_size:,}; give another file."
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
    """Holds an exclusive lock on the folder `path`. The kernel releases it when the process ends.

    The folder is created if it is missing. If it is still empty at the end, it is removed again, with the parents that
    were created for it, so that a refused command leaves nothing behind.

    Args:
        path: the folder. Its content does not matter: the lock is on the folder itself.
        user: the holder of the lock, for the message, for instance "training".
        wait: wait for the lock instead of raising an error.

    Raises:
        UserError: another process, or another call in this one, holds the lock.
        OSError: the folder cannot be created or opened.
    """
    created = [folder for folder in (path, *path.parents) if not folder.exists()]
    handle = _open_locked(path, user, wait)
    try:
        yield
    finally:
        for folder in created:
            try:
                folder.rmdir()
            except OSError:
                break
        os.close(handle)


def _open_locked(path: Path, user: str, wait: bool) -> int:
    """A descriptor of the folder `path`, locked."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise UserError(
                    f"another {user} is running in {path}; wait for its end, or give another folder."
                ) from None
            except OSError:
                # Some network file systems do not support locks; there the folder is not protected.
                return handle
            try:
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
            except FileNotFoundError:
                pass
        except BaseException:
            os.close(handle)
            raise
        # The previous holder removed the folder before this call acquired the lock: try again.
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, atomically, with a final newline.

    Raises:
        ValueError: a number in it is not finite.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # UTF-8 has no lone surrogates. The escape of Python is also the one of JSON.
    write_atomic(path, text.encode("utf-8", "backslashreplace"))


_MOST_JSON = 1 << 30
"""Maximum bytes of a JSON file. The record of a program that fills an engine has a few megabytes."""


def parse_json(text: str) -> Any:
    """Parses JSON strictly: every number must be finite, and every name in an object unique.

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
        raise ValueError(f"duplicate name {twice!a} in an object")
    return value


def read_json(path: Path) -> Any:
    """Reads a JSON file, see `parse_json`.

    Raises:
        UserError: the file is missing, is not JSON, or is refused by `readable_file`.
    """
    try:
        return parse_json(readable_file(path, _MOST_JSON).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give a folder written by an earlier step.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not valid JSON ({printable(str(error))}); restore it or create it again."
        ) from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
