"""Boards as data files: what a file may say, where files are searched, what the command prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from narrowgauge.cli import main
from narrowgauge.errors import UserError
from narrowgauge.hw.isa import Memory
from narrowgauge.hw.synthesis.boards import (
    FOLDER,
    PROCESSORS,
    all_boards,
    built_in_boards,
    find_board,
    read_board,
    user_folder,
)
from narrowgauge.hw.synthesis.boards import _parse as parse_toml
from narrowgauge.hw.synthesis.memories import engine_blocks


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's boards, which does not exist yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "narrowgauge" / "boards"


def content(name: str = "kv260") -> dict[str, Any]:
    return parse_toml((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def write(folder: Path, value: dict[str, Any], name: str = "mine") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(value), encoding="utf-8")
    return path


def test_the_boards_that_can_be_built() -> None:
    boards = {board.name: board for board in built_in_boards()}
    assert list(boards) == [
        "pynq-z1", "pynq-z2", "aup-zu3", "ultra96-v2", "kr260", "kv260", "zcu104", "u50",
    ]  # fmt: skip
    for board in boards.values():
        # Only a card without a processing system has estimates only.
        assert (board.processor is None) == (board.status == "estimates only") == (board.name == "u50")
        assert bool(board.board_part) == bool(board.pynq) == (board.processor is not None)
        assert "not yet run" in board.status or board.processor is None
        if board.processor is not None:
            assert PROCESSORS[board.processor.kind].family == board.family and board.processor.preset
    same = ("part", "lut", "ff", "dsp", "bram36", "uram", "engine", "silicon", "period")
    for one, other in (("pynq-z1", "pynq-z2"), ("kr260", "kv260")):
        assert [getattr(boards[one], name) for name in same] == [
            getattr(boards[other], name) for name in same
        ]
        assert boards[one].board_part != boards[other].board_part


def test_engines_of_boards_stay_as_they_are() -> None:
    """A bitstream that exists must run the programs that are compiled later."""
    engines = {board.name: (board.engine.lanes, board.engine.weight_depth) for board in built_in_boards()}
    assert engines == {
        "pynq-z1": (16, 10240), "pynq-z2": (16, 10240), "aup-zu3": (16, 18432), "ultra96-v2": (16, 18432),
        "kr260": (32, 40960), "kv260": (32, 40960), "zcu104": (32, 65536), "u50": (32, 262144),
    }  # fmt: skip
    depths = [find_board("pynq-z2").engine.depth(memory) for memory in Memory]
    assert depths == [10240, 3072, 3072, 2560, 128, 1536, 16, 10240, 4096, 2048, 1024, 64, 1024]


def test_a_board_of_the_user(own_folder: Path, tmp_path: Path) -> None:
    """In the user's folder by its name, or anywhere by its path; read as it is written."""
    value = content("zcu104") | {"title": "My Board", "period": 4}
    value["processor"]["settings"] = {"PSU__USE__M_AXI_GP2": 0, "PSU__DDRC__BUS_WIDTH": "64 Bit"}
    path = write(tmp_path, value)
    with pytest.raises(
        UserError, match=r"there is no board mine; choose from pynq-z1, .*, or give a .toml file"
    ):
        find_board("mine")
    board = find_board(str(path))
    assert (board.name, board.title, board.period) == ("mine", "My Board", 4.0)
    assert board.processor is not None
    assert dict(board.processor.settings) == {"PSU__USE__M_AXI_GP2": "0", "PSU__DDRC__BUS_WIDTH": "64 Bit"}
    assert board.engine == find_board("zcu104").engine and board.silicon == find_board("zcu104").silicon
    assert all_boards() == built_in_boards()
    write(own_folder, value)
    assert user_folder() == own_folder
    assert find_board("Mine") == board
    assert [known for known in all_boards() if known not in built_in_boards()] == [board]


def test_the_folder_of_the_user_follows_the_specification(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for base in ("", "relative/path"):
        monkeypatch.setenv("XDG_CONFIG_HOME", base)
        assert user_folder() == tmp_path / ".config" / "narrowgauge" / "boards"


def test_a_file_of_the_user_does_not_replace_a_board(own_folder: Path) -> None:
    write(own_folder, content() | {"part": "xcku5p"}, "kv260")
    for read in (all_boards, lambda: find_board("KV260")):
        with pytest.raises(UserError, match=r"kv260.toml has the name of a known board; rename the file"):
            read()
    assert find_board("pynq-z2") in built_in_boards()


def test_a_damaged_file_of_the_user_stops_no_other_board(own_folder: Path) -> None:
    write(own_folder, {})
    assert find_board("kv260") in built_in_boards()
    for read in (all_boards, lambda: find_board("mine")):
        with pytest.raises(UserError, match=r"mine\.toml describes no board: period is missing; see docs"):
            read()


Edit = Callable[[dict[str, Any]], object]

REFUSED: list[tuple[Edit, str]] = [
    (lambda v: v.update(colour=1), "colour is not a known key"),
    (lambda v: v["engine"].update(acc_bits=32), "engine.acc_bits is not a known key"),
    (lambda v: v["capacity"].update(luts=1), "capacity.luts is not a known key"),
    (lambda v: v["silicon"].update(x=1), "silicon.x is not a known key"),
    (lambda v: v["processor"].update(clock="pl_clk0"), "processor.clock is not a known key"),
    (lambda v: v.pop("part"), "part is missing"),
    (lambda v: v.pop("title"), "title is missing"),
    (lambda v: v.pop("status"), "status is missing"),
    (lambda v: v.pop("capacity"), "capacity is missing"),
    (lambda v: v["capacity"].pop("uram"), "capacity.uram is missing"),
    (lambda v: v["capacity"].pop("source"), "capacity.source is missing"),
    (lambda v: v["engine"].pop("exp_depth"), "engine.exp_depth is missing"),
    (lambda v: v["processor"].pop("memory_port"), "processor.memory_port is missing"),
    (lambda v: v["processor"].pop("preset"), "processor.preset is missing"),
    (lambda v: v.update(title=3), "title must be a text, got 3"),
    (lambda v: v.update(title=""), "title must be a text of 1 to 100 characters, got ''"),
    (lambda v: v.update(title="a\nb"), r"title must be a text of 1 to 100 characters, got 'a\\nb'"),
    (lambda v: v.update(title="x" * 101), "title must be a text of 1 to 100 characters"),
    (lambda v: v.update(part="xck26; exit"), "part must be the name of a part, got 'xck26; exit'"),
    (lambda v: v.update(board_part="kv260"), "board_part must be a board part, VENDOR:NAME:PART:VERSION"),
    (lambda v: v.update(family="zynq"), "family must be xc7 or xcup, got 'zynq'"),
    (lambda v: v.update(period="5 ns"), "period must be a number, got '5 ns'"),
    (lambda v: v.update(period=True), "period must be a number, got True"),
    (lambda v: v.update(period=0), "period must be from 0.5 to 1000 ns, got 0"),
    (lambda v: v.update(period=float("nan")), "period must be from 0.5 to 1000 ns, got nan"),
    (lambda v: v.update(period=10**400), "int too large to convert to float"),
    (lambda v: v.update(capacity=1), "capacity must be a table, got 1"),
    (lambda v: v["capacity"].update(lut=1.5), "capacity.lut must be a whole number, got 1.5"),
    (lambda v: v["capacity"].update(lut=True), "capacity.lut must be a whole number, got True"),
    (lambda v: v["capacity"].update(lut=-1), "capacity.lut must be from 0 to 1073741824, got -1"),
    (lambda v: v["engine"].update(lanes=12), "lanes must be one of 8, 16, 32, got 12"),
    (lambda v: v["engine"].update(index_depth=63), "index_depth must be even, got 63"),
    (lambda v: v["engine"].update(kv_depth=0), "kv_depth must be 1 to"),
    (lambda v: v["silicon"].update(pack_dsp=1), "silicon.pack_dsp must be true or false, got 1"),
    (lambda v: v["silicon"].update(lut_columns=-1), "lut_columns must be at least 0, got -1"),
    (lambda v: v["silicon"].update(lut_columns=33), "lut_columns must be at most 32, got 33"),
    (lambda v: v["silicon"].update(luts="SCORE"), "silicon.luts must be a list, got 'SCORE'"),
    (lambda v: v["silicon"].update(luts=["score"]), "silicon.luts must have names of memories, got 'score'"),
    (lambda v: v["silicon"].update(luts=["KV"]), "KV memory is UltraRAM or distributed RAM, not both"),
    (lambda v: v.update(family="xc7"), "silicon.ultra must be empty for the family xc7"),
    (lambda v: v["processor"].update(family="versal"), "processor.family must be zynq or zynqmp, got 'versal'"),
    (lambda v: v["processor"].update(family="zynq"), "processor.family must be one of the family xcup, got zynq"),
    (lambda v: v["processor"].update(memory_port="S_AXI_HP0"), "processor.memory_port must be S_AXI_HP0_FPD or"),
    (lambda v: v["processor"].update(register_port="M_AXI_GP0"), "processor.register_port must be M_AXI_HPM0_FPD"),
    (lambda v: v.pop("board_part"), "processor.preset must be false without a board_part"),
    (lambda v: v["processor"].update(settings={"HP0": 1}), "must have names that start with PCW_ or PSU_, got 'HP0'"),
    (lambda v: v["processor"].update(settings={"PSU__A": 1.5}), "processor.settings.PSU__A must be a whole number"),
    (lambda v: v["processor"].update(settings={"PSU_ß": 1}), "must have names that start with PCW_ or PSU_"),
    (lambda v: v["processor"].update(settings={"PSU__A": "ß"}), "PSU__A must be a whole number or a text, got 'ß'"),
    (lambda v: v["processor"].update(settings={"PSU__A": "[exit]"}), "PSU__A must be a whole number or a text"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_file_that_describes_no_board_is_refused_in_one_sentence(
    edit: Edit, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = content()
    edit(value)
    path = write(tmp_path, value)
    with pytest.raises(UserError, match=f"^{re.escape(str(path))} describes no board: .*{message}"):
        read_board(path)
    assert main(["boards", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("see docs/synthesis.md.")


def test_what_is_no_file_of_a_board_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    with pytest.raises(UserError, match=r"can't be read \(No such file"):
        read_board(path)
    for text in ("title = ", "=", "[a]\n[a]"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=r"mine\.toml describes no board"):
            read_board(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="describes no board"):
        read_board(path)
    with pytest.raises(UserError, match="the name of the file must have lower-case letters"):
        read_board(write(tmp_path, content(), "My Board"))


def test_importing_the_module_needs_no_reader_of_toml() -> None:
    """Python 3.10 has none, and where numpy alone is installed tomli is missing."""
    code = """
import sys
sys.modules["tomllib"] = sys.modules["tomli"] = None
from narrowgauge.hw.synthesis import boards
try:
    boards.find_board("kv260")
except ModuleNotFoundError:
    print("missing")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("missing\n", "")


# The command.


def test_the_list_of_boards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    file = tmp_path / "boards.json"
    assert main(["boards", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    records = {record["name"]: record for record in json.loads(file.read_text(encoding="utf-8"))}
    assert list(records) == [board.name for board in built_in_boards()]
    for board in built_in_boards():
        (row,) = (line for line in printed.splitlines() if f" {board.name} " in line)
        assert all(text in row for text in (board.title, board.part, board.pynq, board.status))
        record = records[board.name]
        assert record["engine"]["lanes"] == board.engine.lanes
        assert record["used"]["bram36"] == engine_blocks(board.engine, board.silicon).bram18 / 2
        assert record["limit"] == {name: board.limit(name) for name in ("bram36", "uram", "dsp")}
        assert record["capacity"]["lut"] == board.lut
    assert "119 of 119" in printed and "not yet run on hardware" in printed


def test_one_board_in_detail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    value = content("pynq-z1") | {"title": "Tiny [bold]"}
    value["processor"] |= {"preset": False, "settings": {"PCW_UIPARAM_DDR_BUS_WIDTH": "16 Bit"}}
    file = tmp_path / "boards.json"
    assert main(["boards", str(write(tmp_path, value)), "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    for text in ("Tiny [bold]", "53,200 LUT", "WEIGHT 10,240", "in LUTs: SCORE", "100 MHz", "S_AXI_HP0"):
        assert text in printed
    (record,) = json.loads(file.read_text(encoding="utf-8"))
    assert record["processor"]["settings"] == {"PCW_UIPARAM_DDR_BUS_WIDTH": "16 Bit"}
    assert record["silicon"] == {"pack_dsp": True, "lut_columns": 1, "ultra": [], "luts": ["SCORE"]}


def test_presets_that_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that fits at its own length, one that fits shorter, one that does not fit: as the compiler decides."""
    pytest.importorskip("torch")
    from narrowgauge.model import presets

    some = {name: presets.PRESETS[name] for name in ("voice", "snips-2enc", "paper-2enc")}
    monkeypatch.setattr(presets, "PRESETS", some)
    file = tmp_path / "boards.json"
    assert main(["boards", "pynq-z2", "--presets", "--json", str(file)]) == 0
    (record,) = json.loads(file.read_text(encoding="utf-8"))
    assert record["presets"] == {"voice": 32, "snips-2enc": 16, "paper-2enc": None}
    assert re.search(r"paper-2enc .* no ", capsys.readouterr().out)
