"""Commands of narrowgauge that are stopped at one of their file operations, as SIGKILL would stop them.

Run as a script it is a server: the modules are imported once, and each command runs in a fork.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

STOPPED = 77
"""Exit status of a command that was stopped."""

_EVENTS = (
    "open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "os.listdir", "os.chmod",
    "shutil.rmtree", "shutil.copyfile", "ctypes.dlsym",
)  # fmt: skip


class Killer:
    """Runs commands in forks of one process, which never runs any itself."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Killer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def run(
        self, root: Path, *commands: Sequence[str], stop: int | None = None, exchange: bool = True
    ) -> tuple[list[int], list[str]]:
        """Runs commands, at once where there are more than one.

        Args:
            root: file operations below it count.
            commands: arguments of `narrowgauge`.
            stop: which operation is not done any more, from 0; None for all.
            exchange: whether the file system can exchange two folders.

        Returns:
            exit statuses, and the operations of the first command.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([str(root), commands, stop, exchange]), file=self._process.stdin, flush=True)
        statuses, operations = json.loads(self._process.stdout.readline())
        return statuses, operations


def _serve() -> None:
    from narrowgauge.cli import export  # noqa: F401
    from narrowgauge.hw.synthesis import boards  # noqa: F401
    from narrowgauge.model import export as _  # noqa: F401
    from narrowgauge.sim.levels import hls_project  # noqa: F401

    for line in sys.stdin:
        root, commands, stop, exchange = json.loads(line)
        children, pipes = [], []
        for arguments in commands:
            reader, writer = os.pipe()
            child = os.fork()
            if not child:
                os.close(reader)
                _run(root, arguments, stop, exchange, writer)
            os.close(writer)
            children.append(child)
            pipes.append(reader)
        told = []
        for reader in pipes:
            with os.fdopen(reader) as stream:
                told.append(stream.read().splitlines())
        statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps([statuses, told[0]]), flush=True)


def _run(root: str, arguments: list[str], stop: int | None, exchange: bool, writer: int) -> None:
    import torch

    from narrowgauge import folders
    from narrowgauge.cli import main

    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    torch.set_num_threads(1)
    if not exchange:
        folders._exchange = lambda one, other: False
    count = 0

    def watch(event: str, values: tuple[Any, ...]) -> None:
        nonlocal count
        if event in _EVENTS and (event == "ctypes.dlsym" or any(root in str(value) for value in values)):
            if event == "ctypes.dlsym" and values[1] != "renameat2":
                return
            if count == stop:
                os._exit(STOPPED)
            os.write(writer, f"{event}\n".encode())
            count += 1

    sys.addaudithook(watch)
    status = 70
    try:
        status = main(arguments)
    finally:
        os._exit(status)


if __name__ == "__main__":
    _serve()
