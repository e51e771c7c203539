"""A folder that is replaced as a whole: whenever its writer is stopped, it is the old one or the new one."""

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
"""What the hidden names of folders say: `.NAME.new-XXXXXXXX`."""

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of renameat2
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


@contextmanager
def replaced_folder(path: Path, user: str, ours: Collection[str]) -> Iterator[Path]:
    """An empty folder next to `path` to write into; it takes the place of `path` when the block ends.

    All of it is on the disk by then, and the two change places in one step, so that a reader finds the old folder or
    the new one, whenever this process is stopped. When the block raises, `path` is as before. What is in the old folder
    and not in `ours` is kept: it is moved to the new one. What a stopped process left is removed by the next call.

    Where the file system can't exchange two folders, the old one is moved away first; a process that is stopped between
    the two steps leaves no folder `path`, and the next call brings it back.

    Args:
        path: the folder, or a link to it. It is made where it is missing, and locked meanwhile.
        user: who writes, for the message to the second one, for instance "export".
        ours: the names, in the folder, of what the writer makes.

    Raises:
        UserError: it is no folder, or another process writes to it.
        OSError: there is no room, or no right to write next to `path`.
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
        made = new.stat()
        with locked_folder(new, user):
            try:
                yield new
                new.chmod(stat.S_IMODE(before.st_mode))
                _sync_all(new)
                if not os.path.samestat(before, target.stat()):
                    raise UserError(f"{path} was replaced by another program meanwhile; repeat the command.")
                old = _swap(new, target)
            except BaseException:
                # An interrupt may come when the two have changed places already.
                if new.exists() and os.path.samestat(new.stat(), made):
                    shutil.rmtree(new, ignore_errors=True)
                raise
            synchronize(target.parent)
            _clear(old, target, ours)


def _next_to(target: Path, kind: str) -> Path:
    """A new folder next to `target`, hidden."""
    return Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.{kind}-"))


def _left(target: Path, *kinds: str) -> list[Path]:
    """What stopped processes of this user left next to `target`: nobody holds a lock on it."""
    prefixes = tuple(f".{target.name}.{kind}-" for kind in kinds)
    found = []
    for path in sorted(target.parent.iterdir()) if target.parent.is_dir() else []:
        if not path.name.startswith(prefixes):
            continue
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not _is_locked(path):
            found.append(path)
    return found


def _is_locked(folder: Path) -> bool:
    """Whether a folder is in use; where there are no locks, it may be."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _restore(target: Path) -> None:
    """Brings the folder back that a process moved away and did not replace."""
    if not os.path.lexists(target):
        for old in _left(target, _OLD)[:1]:
            old.rename(target)


def _swap(new: Path, target: Path) -> Path:
    """Puts `new` where `target` is; the path where the old folder is then."""
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
    """Lets two paths change places, in one step; False where that can't be had.

    Raises:
        OSError: it failed for another reason.
    """
    # Only here: what must start quickly needs none of it.
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
    """Removes what is ours of a folder that is used no more, and moves the rest to `target`."""
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
            LOG.warning("%s is left of an earlier folder (%s); move or remove it.", entry, error.strerror)
    # What could not be moved stays in it.
    with suppress(OSError):
        old.rmdir()


def is_ours(name: str, ours: Collection[str]) -> bool:
    """Whether an entry of a folder is among `ours`, or the temporary file of a process that was writing one of them."""
    return name in ours or any(name.startswith(f".{one}.") for one in ours)


def _sync_all(folder: Path) -> None:
    """Waits until everything in a folder is on the disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            synchronize(Path(root, name))
        synchronize(Path(root))
