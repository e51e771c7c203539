"""Files: atomic writes and checksums, so that nothing half-written or edited is ever taken for the real thing."""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import UserError, printable


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes `data` to `path` so that a reader sees the old content or the new, never a part.

    The parent folder is made when missing. `str` is encoded as UTF-8.
    """
    content = data.encode() if isinstance(data, str) else data
    replace_atomic(path, lambda temporary: temporary.write_bytes(content))


def replace_atomic(path: Path, write: Callable[[Path], Any]) -> None:
    """Calls `write(temporary)` with a path of the suffix of `path`, and makes what was written there the file `path`.

    For libraries that want a file name rather than bytes. The temporary file is next to `path` and renamed to it, once
    its content is on the disk; a link stays a link, and what it points to is replaced. Into a device or a FIFO the
    content is copied. The temporary file is removed when `write` raises.

    Raises:
        UserError: `path` is a folder.
    """
    try:
        kind = path.stat().st_mode
    except OSError:
        # Nothing is there yet; what else may be wrong is found below, with the name that it concerns.
        kind = stat.S_IFREG
    if stat.S_ISDIR(kind):
        raise UserError(f"{path} is a folder; give the name of a file.")
    # Standard output under its name in /dev may be a regular file: what is in it already must stay.
    if not stat.S_ISREG(kind) or path.absolute().parts[1] in ("dev", "proc"):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, path.name)
            write(temporary)
            with temporary.open("rb") as source, path.open("ab" if stat.S_ISREG(kind) else "wb") as target:
                shutil.copyfileobj(source, target)
        return
    if path.is_symlink():
        path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # mkstemp gives 0600; a result file gets what any other new file would get.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        synchronize(temporary)
        temporary.replace(path)
        synchronize(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def synchronize(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
        place = path if path.exists() else next(p for p in path.absolute().parents if p.exists())
        if (place != path and not place.is_dir()) or not os.access(place, os.W_OK):
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
        kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "of an unknown kind")
        raise UserError(f"{path} is {kind}; give a regular file.")
    if found.st_size > most:
        raise UserError(
            f"{path} must have at most {most:,} bytes and has {found.st_size:,}; give another file."
        )
    return path


_KINDS = (
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


_MOST_JSON = 1 << 28  # bytes


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, atomically, with a final newline.

    Raises:
        ValueError: a number in it is not finite.
    """
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


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
        raise ValueError(f"the name {twice!a} stands twice in one object")
    return value


def read_json(path: Path) -> Any:
    """The value in a JSON file, see `parse_json`.

    Raises:
        UserError: the file is missing, is no regular file of a size that a description may have, or is not JSON.
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
