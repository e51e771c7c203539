"""The C++ engine can be synthesized as far as a parser can tell, compiles without a warning, and is up to date."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from narrowgauge.errors import UserError
from narrowgauge.hls.build import CSIM, SOURCES, WARNINGS, ap_include
from narrowgauge.hls.config import config_header
from narrowgauge.hw.isa import LANES, Parameters

pytest.importorskip("clang.cindex")

from ..support.hls_rules import offences
from ..support.hls_vendor_rules import MOST_BITS, stream_widths, vendor_offences

TOPS = ("engine.cpp", "array_top.cpp", "vector_top.cpp", "stream_top.cpp")
FUNCTIONS = ("engine", "array_top", "vector_top", "stream_top")


def configured(folder: Path, lanes: int = 8) -> Path:
    """A folder with the header of an engine's parameters."""
    (folder / "config.h").write_text(config_header(replace(Parameters(), lanes=lanes)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return configured(tmp_path_factory.mktemp("config"))


@pytest.fixture(params=["native", "ap_int"])
def types(request: pytest.FixtureRequest) -> list[str]:
    """Options that choose the types of numbers."""
    if request.param == "native":
        return ["-DNG_NATIVE_TYPES"]
    try:
        return ["-isystem", str(ap_include())]
    except UserError as error:
        pytest.skip(str(error))


def for_synthesis(folder: Path, types: list[str]) -> Path:
    """A file that includes all sources as a tool for synthesis reads them."""
    # The ap_int headers that are free to use refuse to be read as if for synthesis; ours must be.
    first = "" if "-DNG_NATIVE_TYPES" in types else '#include "ap_int.h"\n'
    path = folder / "synthesis.cpp"
    tops = "".join(f'#include "{name}"\n' for name in TOPS)
    path.write_text(f"{first}#define __SYNTHESIS__\n{tops}", encoding="utf-8")
    return path


def test_the_sources_can_be_synthesized(config: Path, types: list[str], tmp_path: Path) -> None:
    flags = [*types, f"-I{SOURCES}", f"-I{CSIM}", f"-I{config}"]
    assert offences(for_synthesis(tmp_path, types), [SOURCES], flags) == []


# Both kinds of types have the same sources, and native types are no narrower.
NATIVE = ["-DNG_NATIVE_TYPES", f"-I{SOURCES}", f"-I{CSIM}"]


def test_the_sources_keep_to_the_vendor_rules(config: Path, tmp_path: Path) -> None:
    path = for_synthesis(tmp_path, NATIVE)
    assert vendor_offences(path, [SOURCES], [*NATIVE, f"-I{config}"], FUNCTIONS) == []


@pytest.mark.parametrize("lanes", LANES)
def test_no_stream_is_too_wide(lanes: int, tmp_path: Path) -> None:
    flags = [*NATIVE, f"-I{configured(tmp_path, lanes)}"]
    widths = stream_widths(for_synthesis(tmp_path, NATIVE), [SOURCES], flags, tmp_path / "probe.cpp")
    assert {"Beat", "Token"} <= {name.removeprefix("ng::") for name in widths}
    assert all(0 < bits <= MOST_BITS for bits in widths.values()), widths


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


# Processes for the planted dataflow regions.
PROCESSES = """namespace hls {
template <class T> struct stream {
    explicit stream(const char* = "") {}
    T read() { return held; }
    void write(const T& item) { held = item; }
    T held;
};
}
struct Job { int n; };
void reads(const int a[4], hls::stream<int>& to) { to.write(a[0]); }
void scales(Job job, hls::stream<int>& from, hls::stream<int>& to) { to.write(from.read() + job.n); }
void writes(hls::stream<int>& from, int a[4]) { a[0] = from.read(); }
void fills(int a[4]) { a[0] = 1; }
void alters(Job& job, hls::stream<int>& from) { job.n = from.read(); }
void passes(hls::stream<int>& from, hls::stream<int>& to) { scales(Job{1}, from, to); }
template <class T> void spills(const T a[4], hls::stream<T>& to) { to.write(a[0]); }
"""

SOUND_REGION = """void top(Job job, const int a[4], int b[4]) {
#pragma HLS interface mode=s_axilite port=job
#pragma HLS interface mode=bram port=a
#pragma HLS interface mode=bram port=b
#pragma HLS interface mode=ap_ctrl_hs port=return
#pragma HLS dataflow
    hls::stream<int> first("first"), second("second");
    reads(a, first);
    scales(job, first, second);
    writes(second, b);
}
"""


def region(name: str, arguments: str, *statements: str) -> str:
    return f"void {name}({arguments}) {{\n#pragma HLS dataflow\n    {' '.join(statements)}\n}}\n"


VENDOR_PLANTED = {
    "int f(int x) { auto g = [&](int y) { return x + y; }; return g(1); }": "a lambda",
    "template <class T> T f(T x) { return [x] { return x; }(); }": "a lambda",
    "int f(int** x) { return **x; }": "a pointer to a pointer",
    "int f(int* x[2]) { return *x[0]; }": "a pointer to a pointer",
    "struct S { int* x[2]; };": "a pointer to a pointer",
    "int f(int (*g)(int)) { return g(1); }": "a pointer to a function",
    "struct S { int& x; };": "a member that is a reference",
    region(
        "f", "const int a[4], int b[4]", "hls::stream<int> s;", "reads(a, s);", "writes(s, b);", "fills(b);"
    ): ("the array b is in 2 processes: writes, fills"),
    "template <int N> "
    + region(
        "f", "const int a[N], int b[N]", "hls::stream<int> s, t;", "spills<int>(a, s);", "spills<int>(a, t);"
    ): ("the array a is in 2 processes: spills, spills"),
    region("f", "Job& job, const int a[4]", "hls::stream<int> s;", "reads(a, s);", "alters(job, s);"): (
        "alters takes job by reference"
    ),
    region("f", "const int a[4], int b[4]", "hls::stream<int> s, t;", "reads(a, s);", "writes(s, b);"): (
        "the stream t has 0 producers and 0 consumers"
    ),
    region("f", "const int a[4]", "hls::stream<int> s;", "reads(a, s);"): (
        "the stream s has 1 producers and 0 consumers"
    ),
    region(
        "f",
        "const int a[4], int b[4], int c[4]",
        "hls::stream<int> s;",
        "reads(a, s);",
        "writes(s, b);",
        "writes(s, c);",
    ): ("the stream s has 1 producers and 2 consumers"),
    region(
        "f", "const int a[4]", "hls::stream<int> s;", "reads(a, s);", "passes(s, s);"
    ): "the stream s has 2 producers",
    region(
        "f",
        "int n, const int a[4], int b[4]",
        "hls::stream<int> s;",
        "if (n > 0) reads(a, s);",
        "writes(s, b);",
    ): ("a statement of a dataflow region is no call of a process"),
    "void f(hls::stream<int>& s) { s.write(s.read()); }": "f reads and writes the stream s",
    "void f(hls::stream<int>& s, int a[4]) { writes(s, a); reads(a, s); }": "f reads and writes the stream s",
    "void f(const int a[4], int b[4]) { hls::stream<int> s; reads(a, s); writes(s, b); }": (
        "the stream s is outside a dataflow region"
    ),
    "void f(int a[4], int b) { for (int i = 0; i < 2; ++i) {\n#pragma HLS pipeline II=1\n"
    "a[i] = b > 0 ? a[b] : a[i + 1]; } }": "f accesses a at 3 places of a pipelined loop",
    f"namespace ng {{\n{SOUND_REGION}}}": "top: in the namespace ng",
    SOUND_REGION.replace("port=b", "port=c"): "top: b has 0 interfaces",
    SOUND_REGION.replace("port=b", "port=c") + "\n": "top: an interface of c, which is no argument",
    SOUND_REGION.replace("port=return", "port=a"): "top: return has 0 interfaces",
    SOUND_REGION.replace("port=return", "port=a") + "\n": "top: a has 2 interfaces",
}


def vendor_found(source: str, folder: Path) -> list[str]:
    path = folder / "planted.cpp"
    path.write_text(PROCESSES + source, encoding="utf-8")
    tops = ("top",) if " top(" in source else ()
    return vendor_offences(path, [], [], tops)


@pytest.mark.parametrize("source", VENDOR_PLANTED)
def test_a_breach_of_a_vendor_rule_is_found(source: str, tmp_path: Path) -> None:
    assert any(VENDOR_PLANTED[source] in found for found in vendor_found(source, tmp_path))


def test_a_sound_region_is_no_breach(tmp_path: Path) -> None:
    assert vendor_found(SOUND_REGION, tmp_path) == []
    # What follows the loop does not count.
    loop = "for (int i = 0; i < 2; ++i) {\n#pragma HLS pipeline II=1\n    a[i] = a[i + 1];\n}"
    assert vendor_found(f"void f(int a[4]) {{ {loop} a[0] = 1; }}", tmp_path) == []
    assert vendor_found(f'extern "C" {{\n{SOUND_REGION}}}', tmp_path) == []


@pytest.mark.parametrize(("lanes", "bits"), [(8, 2048), (16, 8192), (32, 32768)])
def test_a_wide_stream_is_measured(lanes: int, bits: int, tmp_path: Path) -> None:
    configured(tmp_path, lanes)
    source = tmp_path / "planted.cpp"
    source.write_text(
        '#include <cstdint>\n#include "hls_stream.h"\n#include "config.h"\nnamespace ng {\n'
        "template <int N> struct Tile { std::int32_t acc[N][N]; };\n"
        "template <class C> void f(hls::stream<Tile<C::lanes>>& tiles, hls::stream<std::uint8_t, 4>& bytes) {\n"
        "    hls::stream<Tile<C::lanes>> more;\n    more.write(tiles.read());\n    bytes.read();\n}\n}\n",
        encoding="utf-8",
    )
    widths = stream_widths(source, [], [f"-I{CSIM}", f"-I{tmp_path}"], tmp_path / "probe.cpp")
    assert sorted(widths.values()) == [8, bits]


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
