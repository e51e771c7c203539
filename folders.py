"""Atomic replacement of a folder: if the writer is interrupted, the folder is either the old or the new one."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import LOG, UserError
from .files import locked_folder, synchronize

_NEW, _OLD = "new", "old"
"""Parts of the names of hidden folders, `.NAME.new-XXXXXXXX`."""

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of renameat2
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


@contextmanager
def replaced_folder(path: Path, user: str, ours: Collection[str]) -> Iterator[Path]:
    """Yields an empty folder next to `path` to write into; it replaces `path` when the block ends.

    The content is flushed to disk and the two folders are exchanged in one step, so that a reader sees either the old
    folder or the new one, whenever this process is stopped. If the block raises, `path` is unchanged. Entries of the
    old folder that are not in `ours` are moved to the new one. Leftovers of a stopped process are removed by the next
    call.

    Where the file system cannot exchange two folders, the old one is moved away first. If the process is stopped
    between the two steps, `path` does not exist until the next call restores it.

    Args:
        path: the folder, or a link to it. It is created if it is missing, and locked during the block.
        user: the writer, for the error message of a second one, for instance "export".
        ours: the names of the entries that the writer creates.

    Raises:
        UserError: `path` is not a folder, or another process is writing to it.
        OSError: the disk is full, or there is no permission to write next to `path`.
    """
    target = Path(os.path.realpath(path))
    if os.path.lexists(target) and not target.is_dir():
        raise UserError(f"{path} is not a folder; give another one.")
    _restore(target)
    with locked_folder(target, user):
        before = target.stat()
        for left in _left(target, _NEW, _OLD):
            _clear(left, target, ours)
        new = _next_to(target, _NEW)
        created = new.stat()
        with locked_folder(new, user):
            try:
                yield new
                new.chmod(stat.S_IMODE(before.st_mode))
                _sync_all(new)
                if not os.path.samestat(before, target.stat()):
                    raise UserError(
                        f"{path} was replaced by another program in the meantime; repeat the command."
                    )
                old = _swap(new, target)
            except BaseException:
                # An interrupt may arrive after the exchange.
                if new.exists() and os.path.samestat(new.stat(), created):
                    shutil.rmtree(new, ignore_errors=True)
                raise
            synchronize(target.parent)
            _clear(old, target, ours)


def _next_to(target: Path, kind: str) -> Path:
    """A new folder next to `target`, hidden."""
    return Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.{kind}-"))


def _left(target: Path, *kinds: str) -> list[Path]:
    """Leftovers of stopped processes of this user next to `target`: folders without a lock."""
    prefixes = tuple(f".{target.name}.{kind}-" for kind in kinds)
    leftovers = []
    for path in sorted(target.parent.iterdir()) if target.parent.is_dir() else []:
        if not path.name.startswith(prefixes):
            continue
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not _is_locked(path):
            leftovers.append(path)
    return leftovers


def _is_locked(folder: Path) -> bool:
    """Whether a folder is in use; assumed True where locks are not supported."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _restore(target: Path) -> None:
    """Restores a folder that a process moved away and did not replace."""
    if not os.path.lexists(target):
        for old in _left(target, _OLD)[:1]:
            old.rename(target)


def _swap(new: Path, target: Path) -> Path:
    """Replaces `target` with `new`; returns the path of the old folder."""
    with suppress(FileNotFoundError):
        here = Path.cwd()
    if _exchange(new, target):
        old = new
    else:
        old = _next_to(target, _OLD)
        target.rename(old)
        try:
            new.rename(target)
        except BaseException:
            with suppress(OSError):
                old.rename(target)
            raise
    with suppress(OSError, UnboundLocalError):
        os.chdir(here)
    return old


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two paths in one step; False where this is not supported.

    Raises:
        OSError: the exchange failed for another reason.
    """
    # Imported here to keep the start of the command line fast.
    import ctypes

    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if not renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _clear(old: Path, target: Path, ours: Collection[str]) -> None:
    """Removes our entries from an unused folder, and moves the others to `target`."""
    for entry in sorted(old.iterdir()):
        place = target / entry.name
        try:
            if is_ours(entry.name, ours):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            elif not os.path.lexists(place):
                entry.rename(place)
        except OSError as error:
            LOG.warning("%s remains from a previous folder (%s); move or remove it.", entry, error.strerror)
    # It keeps the entries that could not be moved.
    with suppress(OSError):
        old.rmdir()


def is_ours(name: str, ours: Collection[str]) -> bool:
    """Whether an entry of a folder is among `ours`, or a temporary file of one of them."""
    return name in ours or any(name.startswith(f".{one}.") for one in ours)


def _sync_all(folder: Path) -> None:
    """Flushes everything in a folder to disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            synchronize(Path(root, name))
        synchronize(Path(root))
