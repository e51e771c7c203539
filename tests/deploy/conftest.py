"""A virtual board for the tests of the driver. They skip where pynq or Verilator is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from narrowgauge.deploy.board import Board
    from narrowgauge.sim.board.device import VirtualDevice

    from ..support.boards import Case


@pytest.fixture(scope="module")
def case(root: Path) -> Case:
    """The example's build, with sentences and their answers."""
    from ..support.boards import example_case

    return example_case(root)


@pytest.fixture(scope="module")
def shared(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VirtualDevice, Any]]:
    """A virtual board and its overlay, for all tests of a module."""
    from ..support.boards import virtual_device

    with virtual_device(case, tmp_path_factory.mktemp("overlay")) as made:
        yield made


@pytest.fixture
def virtual(shared: tuple[VirtualDevice, Any]) -> tuple[VirtualDevice, Any]:
    """A virtual board and its overlay. Each test leaves them so that a board can be opened."""
    device, _ = shared
    assert device.memory.broken is None
    device.faults.clear()
    device.faults.happened.clear()
    return shared


@pytest.fixture
def fresh(case: Case, tmp_path: Path) -> Iterator[tuple[VirtualDevice, Any]]:
    """A device of its own: the interrupt is that of the last one that was made."""
    from ..support.boards import virtual_device

    with virtual_device(case, tmp_path) as made:
        yield made


@pytest.fixture
def board(case: Case, virtual: tuple[VirtualDevice, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """A board with the program, whose time limit is in simulated time."""
    from narrowgauge.deploy.board import Board

    from ..support.boards import SECONDS, use_simulated_time

    use_simulated_time(monkeypatch, virtual[0])
    with Board(virtual[1]) as made:
        case.load(made)
        made.timeout = SECONDS
        yield made
