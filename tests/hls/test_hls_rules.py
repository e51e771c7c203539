"""The C++ engine can be synthesized as far as a parser can tell, compiles without a warning, and is up to date."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from narrowgauge.errors import UserError
from narrowgauge.hls.build import CSIM, SOURCES, WARNINGS, ap_include
from narrowgauge.hls.config import config_header
from narrowgauge.hw.isa import Parameters

pytest.importorskip("clang.cindex")

from ..support.hls_rules import offences

TOPS = ("engine.cpp", "array_top.cpp", "vector_top.cpp", "stream_top.cpp")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("config")
    (folder / "config.h").write_text(config_header(Parameters()), encoding="utf-8")
    return folder


@pytest.fixture(params=["native", "ap_int"])
def types(request: pytest.FixtureRequest) -> list[str]:
    """Options that choose the types of numbers."""
    if request.param == "native":
        return ["-DNG_NATIVE_TYPES"]
    try:
        return ["-isystem", str(ap_include())]
    except UserError as error:
        pytest.skip(str(error))


def test_the_sources_can_be_synthesized(config: Path, types: list[str], tmp_path: Path) -> None:
    # The ap_int headers that are free to use refuse to be read as if for synthesis; ours must be.
    first = "" if "-DNG_NATIVE_TYPES" in types else '#include "ap_int.h"\n'
    path = tmp_path / "synthesis.cpp"
    tops = "".join(f'#include "{name}"\n' for name in TOPS)
    path.write_text(f"{first}#define __SYNTHESIS__\n{tops}", encoding="utf-8")
    assert offences(path, [SOURCES], [*types, f"-I{SOURCES}", f"-I{CSIM}", f"-I{config}"]) == []


PLANTED = {
    "float f(int x) { return x; }": "floating point",
    "int f(int x) { return int(0.5 * x); }": "floating point",
    "template <class T> T f(T x) { double y = 1; return T(y) + x; }": "floating point",
    "int* f() { return new int(3); }": "dynamic memory",
    "template <class T> void f(T* x) { delete x; }": "dynamic memory",
    "#include <cstdlib>\nvoid* f() { return std::malloc(3); }": "dynamic memory",
    "void f(int x) { while (x > 0) --x; }": "a loop that is no `for`",
    "template <class T> void f(T x) { do { --x; } while (x > 0); }": "a loop that is no `for`",
    "void f() { for (;;) { } }": "a `for` without a bound",
    "void f(bool& go) { for (int i = 0; go; ++i) { } }": "a `for` without a bound",
    "void f(int n) { for (int i = 0; i < n; --n) { } }": "a `for` without a bound",
    "void f(int n, bool go) { for (int i = 0; i < n || go; ++i) { } }": "a `for` without a bound",
    "int f(int x) { return x > 0 ? f(x - 1) : 0; }": "recursion: f -> f",
    "int g(int x);\nint f(int x) { return g(x); }\nint g(int x) { return f(x); }": "recursion: f -> g -> f",
    "template <class T> T g(T x);\ntemplate <class T> T f(T x) { return g<T>(x); }\n"
    "template <class T> T g(T x) { auto h = [&] { return f<T>(x); }; return h(); }": "recursion: f -> g -> f",
    "#include <vector>\nint f() { std::vector<int> a; return int(a.size()); }": "std::vector",
    "#include <functional>\ntemplate <class T> void f(std::function<T()> g);": "std::function",
}


@pytest.mark.parametrize("source", PLANTED)
def test_an_offence_is_found(source: str, tmp_path: Path) -> None:
    path = tmp_path / "planted.cpp"
    path.write_text(source, encoding="utf-8")
    assert any(PLANTED[source] in found for found in offences(path, [tmp_path], []))


def test_a_bounded_loop_is_no_offence(tmp_path: Path) -> None:
    path = tmp_path / "sound.cpp"
    path.write_text(
        "#include <cstdint>\nint f(std::uint32_t n, bool& go) {\n    int s = 0;\n"
        "    for (std::uint32_t i = 0; i < n && go; ++i) s += int(i);\n"
        "    for (int bit = 7; bit >= 0; --bit) s += bit;\n    return s;\n}\n",
        encoding="utf-8",
    )
    assert offences(path, [tmp_path], []) == []


@pytest.mark.parametrize("name", TOPS)
def test_the_sources_compile_without_a_warning(name: str, config: Path, types: list[str]) -> None:
    command = ["g++", "-std=c++17", *WARNINGS, f"-I{SOURCES}", f"-I{CSIM}", f"-I{config}", *types]
    assert WARNINGS[:3] == ("-Wall", "-Wextra", "-Werror")
    result = subprocess.run(
        [*command, "-fsyntax-only", str(SOURCES / name)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]


def _sources() -> list[Path]:
    """The sources that are written by hand."""
    return [path for path in sorted(SOURCES.iterdir()) if not path.read_text().startswith("// Generated")]


def test_every_source_states_its_limits() -> None:
    paths = [path for path in _sources() if path.name != "tops.hpp" and not path.name.startswith("tb_")]
    assert len(paths) > 10
    for path in paths:
        head = path.read_text(encoding="utf-8").split("#ifndef")[0].split("#include")[0]
        assert "\n// Limits: " in head, path.name


def test_every_kind_of_pragma_has_a_reason_and_no_reason_is_repeated() -> None:
    count = 0
    for path in _sources():
        reasons: dict[str, set[str]] = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            pragma = re.match(r"\s*#pragma HLS (\w+(?: mode=\w+)?)[^/]*(?:// (\S.*))?$", line)
            assert pragma or "#pragma" not in line, f"{path.name}:{number}"
            if pragma:
                count += 1
                kind, reason = pragma.groups()
                known = reasons.setdefault(kind, set())
                assert reason not in known, f"{path.name}:{number}: repeated"
                assert reason or known, f"{path.name}:{number}: no reason for {kind}"
                known.update(filter(None, [reason]))
    assert count > 100
