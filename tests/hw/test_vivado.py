"""The scripts for the bitstream of a board, run in a Tcl interpreter with stand-ins for Vivado's commands."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from xml.etree.ElementTree import parse

import pytest

from narrowgauge.cli import main
from narrowgauge.graph.onnx_io import damaged_files
from narrowgauge.hw.synthesis import project
from narrowgauge.hw.synthesis.boards import FOLDER, Board, built_in_boards, find_board
from narrowgauge.hw.synthesis.project import TEMPLATES, keep_bitstream, write_board_project, write_project
from narrowgauge.hw.synthesis.sources import WRAPPER, sources, top_parameters

from ..support.vivado import Model, Outcome, run_vivado

BOARDS = [board for board in built_in_boards() if board.processor is not None]
VERSIONS = ("2020.1", "2025.2")
"""Simulated versions: in the first the .hwh is in another folder, in the second IP are newer, and one is hidden."""

DMA = {
    "c_include_sg": "0",
    "c_sg_include_stscntrl_strm": "0",
    "c_sg_length_width": "26",
    "c_include_mm2s": "1",
    "c_include_s2mm": "1",
    "c_include_mm2s_dre": "0",
    "c_include_s2mm_dre": "0",
    "c_m_axi_mm2s_data_width": "64",
    "c_m_axi_s2mm_data_width": "64",
    "c_m_axis_mm2s_tdata_width": "64",
    "c_mm2s_burst_size": "256",
    "c_s2mm_burst_size": "256",
}


def write(folder: Path, board: Board) -> Path:
    """The project of a board in the folder of a build; returns its script."""
    assert board.processor is not None
    files = write_board_project(folder / "vivado", board, board.processor)
    assert all((folder / "vivado" / name).is_file() for name in files)
    return folder / "vivado" / "build.tcl"


def build(folder: Path, board: Board, *arguments: str, **settings: object) -> Outcome:
    return run_vivado(write(folder, board), *arguments, settings={"installed": board.board_part} | settings)


def accepted(outcome: Outcome) -> Model:
    assert outcome.status == 0, outcome.output + outcome.errors
    assert outcome.errors == "" and outcome.model is not None
    return outcome.model


def kinds(board: Board) -> tuple[str, str, str, str, str, str]:
    """(IP of the processing system, clock, reset, interrupt, first address of registers, bits of the DMA)."""
    assert board.processor is not None
    return {
        "zynq": ("processing_system7", "FCLK_CLK0", "FCLK_RESET0_N", "IRQ_F2P", "0x40000000", "32"),
        "zynqmp": ("zynq_ultra_ps_e", "pl_clk0", "pl_resetn0", "pl_ps_irq0", "0xA0000000", "40"),
    }[board.processor.kind]


@pytest.fixture(scope="module", params=[(board, version) for board in BOARDS for version in VERSIONS],
                ids=lambda pair: f"{pair[0].name}-{pair[1]}")  # fmt: skip
def built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Board, str, Path, Outcome]:
    board, version = request.param
    folder = tmp_path_factory.mktemp("build")
    return board, version, folder, build(folder, board, version=version)


def test_the_bitstream_is_built(built: tuple[Board, str, Path, Outcome]) -> None:
    """Bitstream, metadata and platform in one folder, the first two also in the folder for the board; reports."""
    board, version, folder, outcome = built
    model = accepted(outcome)
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in ("narrowgauge.bit", "narrowgauge.hwh"):
        assert (folder / "deploy" / name).read_bytes() == (folder / "bitstream" / name).read_bytes()
    assert (folder / "deploy" / "narrowgauge.hwh").read_text(encoding="utf-8") == "<EDKSYSTEM/>"
    reports = ("utilization", "utilization_hierarchical", "timing", "drc", "power")
    assert {f"bitstream/reports/{name}.rpt" for name in reports} | {"bitstream/narrowgauge.xsa"} <= made
    assert {path.split("/")[0] for path in made} == {"vivado", "bitstream", "deploy"}
    assert model.project["PART"] == board.part and model.project["board_part"] == board.board_part
    assert model.project["target_language"] == "Verilog"
    read = [Path(file) for file in model.files]
    assert [path.name for path in read] == [path.name for path in (*sources(), WRAPPER)]
    for path, source in zip(read, (*sources(), WRAPPER), strict=True):
        assert path.read_bytes() == source.read_bytes()
    assert f"Vivado {version}, {board.part}, {1000 / board.period:.3f} MHz" in outcome.output
    assert "timing is met, setup slack 0.1 ns, hold slack 0.02 ns" in outcome.output


def test_paths_and_titles_are_only_text(tmp_path: Path) -> None:
    """No character of them is syntax of Tcl."""
    folder = tmp_path / "a b {c [exit 3] $part; # \\ é"
    board = replace(find_board("kv260"), title="} [exit 3] $part \\")
    model = accepted(build(folder, board))
    assert (folder / "deploy" / "narrowgauge.bit").is_file()
    assert len(model.files) == len(sources()) + 1 and all(Path(file).is_file() for file in model.files)


def test_cells_and_their_parameters(built: tuple[Board, str, Path, Outcome]) -> None:
    """The newest IP of the catalog, the DMA in the version that PYNQ's driver is bound to, the engine's generics."""
    board, version, _, outcome = built
    model = accepted(outcome)
    ip = kinds(board)[0]
    newest = {
        "2020.1": {
            ip: "5.5" if board.family == "xc7" else "3.3",
            "smartconnect": "1.0",
            "proc_sys_reset": "5.0",
        },
        "2025.2": {
            ip: "5.10" if board.family == "xc7" else "3.10",
            "smartconnect": "1.1",
            "proc_sys_reset": "5.1",
        },
    }[version]
    assert model.cells == {
        "/ps": f"xilinx.com:ip:{ip}:{newest[ip]}",
        "/engine": "xilinx.com:module_ref:narrowgauge:1.0",
        "/dma": "xilinx.com:ip:axi_dma:7.1",
        "/memory": f"xilinx.com:ip:smartconnect:{newest['smartconnect']}",
        "/registers": "xilinx.com:ip:axi_interconnect:2.1",
        "/reset": f"xilinx.com:ip:proc_sys_reset:{newest['proc_sys_reset']}",
    }
    assert model.config["/dma"] == DMA | {"c_addr_width": kinds(board)[5]}
    generics = top_parameters(board.engine, board.silicon)
    assert model.config["/engine"] == {name: str(value) for name, value in generics.items()}
    assert model.config["/memory"] == {"NUM_SI": "2", "NUM_MI": "1"}
    assert model.config["/registers"] == {"NUM_SI": "1", "NUM_MI": "2"}
    ps = model.config["/ps"]
    frequency = f"{1000 / board.period:.3f}"
    assert ps.pop("preset") == "1"
    if ip == "processing_system7":
        assert ps == {
            "PCW_EN_CLK0_PORT": "1", "PCW_EN_RST0_PORT": "1", "PCW_FPGA0_PERIPHERAL_FREQMHZ": frequency,
            "PCW_USE_S_AXI_HP0": "1", "PCW_USE_M_AXI_GP0": "1", "PCW_USE_M_AXI_GP1": "0",
            "PCW_USE_FABRIC_INTERRUPT": "1", "PCW_IRQ_F2P_INTR": "1",
        }  # fmt: skip
    else:
        assert ps == {
            "PSU__FPGA_PL0_ENABLE": "1", "PSU__USE__FABRIC__RST": "1", "PSU__USE__IRQ0": "1",
            "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": frequency, "PSU__USE__S_AXI_GP2": "1",
            "PSU__SAXIGP2__DATA_WIDTH": "128", "PSU__USE__M_AXI_GP0": "1", "PSU__MAXIGP0__DATA_WIDTH": "128",
            "PSU__USE__M_AXI_GP1": "0", "PSU__USE__M_AXI_GP2": "0",
        }  # fmt: skip


def test_every_interface_is_connected(built: tuple[Board, str, Path, Outcome]) -> None:
    board, _, _, outcome = built
    model = accepted(outcome)
    assert board.processor is not None
    peers = {name: peer for name, (mode, _, peer) in model.interfaces.items() if mode == "Master"}
    external = {"/ps/DDR": "external", "/ps/FIXED_IO": "external"} if board.family == "xc7" else {}
    assert peers == external | {
        "/dma/M_AXIS_MM2S": "/engine/s_axis",
        "/engine/m_axis": "/dma/S_AXIS_S2MM",
        "/dma/M_AXI_MM2S": "/memory/S00_AXI",
        "/dma/M_AXI_S2MM": "/memory/S01_AXI",
        "/memory/M00_AXI": f"/ps/{board.processor.memory_port}",
        f"/ps/{board.processor.register_port}": "/registers/S00_AXI",
        "/registers/M00_AXI": "/engine/s_axi",
        "/registers/M01_AXI": "/dma/S_AXI_LITE",
    }
    assert all(peer for _, _, peer in model.interfaces.values())
    text = WRAPPER.read_text(encoding="utf-8")
    assert {name for name in model.interfaces if name.startswith("/engine/")} == {
        f"/engine/{name}" for name in re.findall(r"xilinx.com:interface:\w+:1.0 (\w+) ", text)
    }


def test_one_clock_one_reset_one_interrupt(built: tuple[Board, str, Path, Outcome]) -> None:
    board, _, _, outcome = built
    model = accepted(outcome)
    _, clock, reset, interrupt, _, _ = kinds(board)
    inputs = {pin: kind for pin, (direction, kind, _) in model.pins.items() if direction == "I"}
    clocks = [pin for pin, kind in inputs.items() if kind == "clk"]
    assert len(clocks) == 12 and {model.driver(pin) for pin in clocks} == {f"/ps/{clock}"}
    unused = {"/reset/aux_reset_in", "/reset/mb_debug_sys_rst"}
    drivers = {pin: model.driver(pin) for pin, kind in inputs.items() if kind == "rst" and pin not in unused}
    # PG164: interconnects take one output, everything else the other; the IP's reset comes from the processor.
    assert drivers.pop("/reset/ext_reset_in") == f"/ps/{reset}"
    for pin in ("/memory/aresetn", "/registers/ARESETN"):
        assert drivers.pop(pin) == "/reset/interconnect_aresetn"
    assert set(drivers.values()) == {"/reset/peripheral_aresetn"}
    assert set(drivers) == {
        "/engine/aresetn", "/dma/axi_resetn", "/registers/S00_ARESETN", "/registers/M00_ARESETN",
        "/registers/M01_ARESETN",
    }  # fmt: skip
    # Alone on the first line of the processor; the DMA is polled.
    assert model.net(f"/ps/{interrupt}") == {f"/ps/{interrupt}", "/engine/interrupt"}
    assert model.pins["/dma/mm2s_introut"][2] == model.pins["/dma/s2mm_introut"][2] == ""


def test_addresses_are_assigned(built: tuple[Board, str, Path, Outcome]) -> None:
    board, _, _, outcome = built
    model = accepted(outcome)
    assert board.processor is not None
    port = board.processor.memory_port
    first = int(kinds(board)[4], 16)
    parts = ("LOW", "HIGH") if board.family == "xcup" else ("LOW",)
    memory = {f"/dma/{space}/ps/{port}/{part}" for space in ("Data_MM2S", "Data_S2MM") for part in parts}
    assert set(model.segments) == memory | {"/ps/Data/engine/s_axi", "/ps/Data/dma/S_AXI_LITE"}
    bases = sorted(model.segments[f"/ps/Data/{slave}"][0] for slave in ("engine/s_axi", "dma/S_AXI_LITE"))
    assert bases == [first, first + 0x10000]


def test_the_virtual_board_is_of_the_same_design(
    built: tuple[Board, str, Path, Outcome], tmp_path: Path
) -> None:
    """The .hwh that the driver is tested with has the cells, parameters and connections of the block design."""
    pytest.importorskip("pynq")
    from narrowgauge.sim.board.overlay import overlay_files

    board, _, _, outcome = built
    model = accepted(outcome)
    assert board.processor is not None
    bit = overlay_files(tmp_path, board.engine, silicon=board.silicon, family=board.processor.kind)
    modules = {
        cell.attrib["INSTANCE"]: cell for cell in parse(bit.with_suffix(".hwh")).getroot().iter("MODULE")
    }
    assert modules.keys() >= {"ps", "engine", "dma"}
    for name in ("engine", "dma"):
        assert modules[name].attrib["VLNV"] == model.cells[f"/{name}"]
        parameters = {one.attrib["NAME"]: one.attrib["VALUE"] for one in modules[name].iter("PARAMETER")}
        assert model.config[f"/{name}"].items() <= parameters.items() | {("c_sg_include_stscntrl_strm", "0")}
    assert modules["ps"].attrib["VLNV"].rpartition(":")[0] == model.cells["/ps"].rpartition(":")[0]
    modes = {"MASTER": "Master", "INITIATOR": "Master", "SLAVE": "Slave", "TARGET": "Slave"}
    interfaces = [
        (model.interfaces[f"/{name}/{interface.attrib['NAME']}"][0], modes[interface.attrib["TYPE"]])
        for name, cell in modules.items()
        for interface in cell.iter("BUSINTERFACE")
    ]
    assert len(interfaces) == 10 and all(one == other for one, other in interfaces)
    ports = {
        (name, port.attrib["NAME"]): {
            (c.attrib["INSTANCE"], c.attrib["PORT"]) for c in port.iter("CONNECTION")
        }
        for name, cell in modules.items()
        for port in cell.iter("PORT")
    }
    assert ports["ps", kinds(board)[3]] == {("engine", "interrupt")}
    for name, pin in (("engine", "aclk"), ("dma", "s_axi_lite_aclk")):
        assert {f"/{cell}/{port}" for cell, port in ports[name, pin]} == {model.driver(f"/{name}/{pin}")}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"setup": -0.123},
            r"setup slack -0.123 ns from system_i/engine/\S*setup_q_reg/C to \S*setup_sum_reg/D;",
        ),
        (
            {"hold": -0.001},
            r"hold slack -0.001 ns from system_i/engine/\S*hold_q_reg/C to \S*hold_sum_reg/D;",
        ),
        ({"pulse": -1.5}, "total pulse width slack -1.5 ns"),
        ({"paths": 0}, "there is no path with a setup requirement: the clock is missing"),
        ({"fails": "synth_1"}, r"synth_1 ended with route_design ERROR; see \S*runs/synth_1/runme.log"),
        ({"fails": "impl_1"}, r"impl_1 ended with route_design ERROR; see \S*runs/impl_1/runme.log"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_failed_run_copies_nothing(setting: dict[str, object], message: str, tmp_path: Path) -> None:
    """Also if an earlier run succeeded: its bitstream is not taken for that of this one."""
    board = find_board("kv260")
    assert accepted(build(tmp_path, board))
    shutil.rmtree(tmp_path / "deploy")
    outcome = build(tmp_path, board, **setting)
    assert outcome.status == 1
    (line,) = outcome.errors.splitlines()
    assert re.match(f"ERROR: narrowgauge: .*{message}", line), line
    assert not (tmp_path / "deploy").exists()
    assert not list((tmp_path / "bitstream").glob("narrowgauge.*"))
    if "fails" not in setting:
        assert (tmp_path / "bitstream" / "reports" / "timing.rpt").is_file()


def test_board_files(tmp_path: Path) -> None:
    """A board that Vivado does not know is one clear error; another version of its files is taken."""
    board = find_board("pynq-z2")
    outcome = build(tmp_path, board, installed="xilinx.com:zcu104:part0:1.1")
    assert outcome.status == 1 and outcome.model is None
    assert outcome.errors == (
        "ERROR: narrowgauge: Vivado has no files of the board tul.com.tw:pynq-z2:part0:1.0; install them with Tools > "
        "Vivado Store > Boards, or set BOARD_FILES to the folder that holds the folder of the board.\n"
    )
    others = [f"tul.com.tw:pynq-z2:part0:{version}" for version in ("0.9", "1.10", "1.9")]
    model = accepted(build(tmp_path, board, installed=" ".join([*others, "tul.com.tw:pynq-z20:part0:2.0"])))
    assert model.project["board_part"] == "tul.com.tw:pynq-z2:part0:1.10"
    assert model.repository == ""
    script = write(tmp_path, board)
    there = {"BOARD_FILES": str(tmp_path / "my boards")}
    model = accepted(run_vivado(script, settings={"installed": board.board_part}, environment=there))
    assert model.repository == f"{{{tmp_path / 'my boards'}}}"


def test_a_board_without_a_preset(tmp_path: Path) -> None:
    """Its settings come from its file; no board part is set, and other ports are taken where the file says so."""
    z2, kv260 = find_board("pynq-z2"), find_board("kv260")
    assert z2.processor is not None and kv260.processor is not None
    settings = MappingProxyType({"PCW_UIPARAM_DDR_BUS_WIDTH": "16 Bit"})
    own = replace(
        z2.processor, preset=False, settings=settings, memory_port="S_AXI_HP2", register_port="M_AXI_GP1"
    )
    model = accepted(build(tmp_path / "z", replace(z2, board_part="", processor=own)))
    assert "board_part" not in model.project
    ps = model.config["/ps"]
    assert ps["preset"] == "0" and ps["PCW_UIPARAM_DDR_BUS_WIDTH"] == "16 Bit"
    assert (ps["PCW_USE_S_AXI_HP2"], ps["PCW_USE_M_AXI_GP1"], ps["PCW_USE_M_AXI_GP0"]) == ("1", "1", "0")
    assert model.interfaces["/memory/M00_AXI"][2] == "/ps/S_AXI_HP2"
    assert model.driver("/ps/S_AXI_HP2_ACLK") == model.driver("/ps/M_AXI_GP1_ACLK") == "/ps/FCLK_CLK0"
    own = replace(kv260.processor, preset=False, memory_port="S_AXI_HP1_FPD", register_port="M_AXI_HPM1_FPD")
    model = accepted(build(tmp_path / "k", replace(kv260, board_part="", processor=own)))
    ps = model.config["/ps"]
    assert "preset" not in ps and ps["PSU__USE__S_AXI_GP3"] == ps["PSU__USE__M_AXI_GP1"] == "1"
    assert model.interfaces["/ps/M_AXI_HPM1_FPD"][2] == "/registers/S00_AXI"
    assert model.driver("/ps/saxihp1_fpd_aclk") == model.driver("/ps/maxihpm1_fpd_aclk") == "/ps/pl_clk0"


@pytest.mark.parametrize("place", ["project/solution/impl/ip", "work/hls/impl/ip"])
def test_the_engine_of_vitis_hls(place: str, tmp_path: Path) -> None:
    """The IP by the same script, found where either tool exports it; its bitstream is not for the driver."""
    board = find_board("zcu104")
    outcome = build(tmp_path, board, "hls")
    assert outcome.status == 1 and f"{tmp_path}/hls has no IP; run make export there" in outcome.errors
    component = tmp_path / "hls" / place / "component.xml"
    component.parent.mkdir(parents=True)
    component.touch()
    outcome = build(tmp_path, board, "hls", "jobs=2")
    model = accepted(outcome)
    assert model.cells["/engine"] == "xilinx.com:hls:engine:1.0" and "/engine" not in model.config
    assert model.files == [] and model.project["ip_repo_paths"] == str(component.parent)
    peers = {name: peer for name, (_, _, peer) in model.interfaces.items() if name.startswith("/engine/")}
    assert peers == {
        "/engine/s_axi_control": "/registers/M00_AXI",
        "/engine/in_r": "/dma/M_AXIS_MM2S",
        "/engine/out_r": "/dma/S_AXIS_S2MM",
    }
    assert model.driver("/engine/ap_clk") == "/ps/pl_clk0"
    assert model.driver("/engine/ap_rst_n") == "/reset/peripheral_aresetn"
    assert model.net("/engine/interrupt") == {"/engine/interrupt", "/ps/pl_ps_irq0"}
    assert (tmp_path / "bitstream_hls" / "narrowgauge.bit").is_file()
    assert not (tmp_path / "deploy").exists() and not (tmp_path / "bitstream").exists()


@pytest.mark.parametrize("argument", ["rtl", "jobs=0", "jobs=-1", "jobs=", "jobs=2;exit", "-hls"])
def test_arguments_that_are_refused(argument: str, tmp_path: Path) -> None:
    outcome = build(tmp_path, find_board("zcu104"), argument)
    assert outcome.status == 1
    assert outcome.errors == f"ERROR: narrowgauge: the arguments are hls and jobs=N, got {argument}.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["vivado"]


def test_a_folder_with_a_strange_name(tmp_path: Path) -> None:
    """Spaces, brackets and dollars in the path of a build mean nothing to Tcl."""
    folder = tmp_path / "a [exit] $x {"
    model = accepted(build(folder, find_board("aup-zu3")))
    assert (folder / "deploy" / "narrowgauge.bit").is_file() and len(model.files) == len(sources()) + 1


@pytest.mark.parametrize("board", built_in_boards(), ids=lambda board: board.name)
def test_an_engine_out_of_context(board: Board, tmp_path: Path) -> None:
    """`run.tcl`, with the same checks of commands, files and parameters; a board needs no block design for it."""
    more = board.silicon.generics(board.engine)
    write_project(tmp_path, board, board.engine, more, period=board.period)
    outcome = run_vivado(tmp_path / "run.tcl", settings={"setup": -0.25})
    assert outcome.status == 0 and outcome.model is not None, outcome.errors
    model = outcome.model
    generics = top_parameters(board.engine, board.silicon)
    assert model.config["/engine"] == {name: str(value) for name, value in generics.items()}
    assert model.project == {"PART": board.part, "period": f"{board.period:g}"}
    assert [Path(file).name for file in model.files] == [path.name for path in (*sources(), WRAPPER)]
    reports = {path.name for path in (tmp_path / "results").iterdir()}
    assert reports == {
        "synth.dcp", "synth_utilization.rpt", "synth_timing.rpt", "route.dcp", "utilization.rpt",
        "utilization_hierarchical.rpt", "timing.rpt", "drc.rpt",
    }  # fmt: skip
    assert f"part {board.part}, period {board.period:g} ns, worst setup slack -0.25 ns" in outcome.output


# Changes of the scripts that the stand-ins or the checks of the block design must find.

FAULTS = [
    ("design.tcl", "-vlnv [catalog smartconnect]", "-vnlv [catalog smartconnect]", "no option -vnlv"),
    ("design.tcl", "-vlnv [catalog smartconnect]", "-vlnv xilinx.com:ip:smartconnect:9.9", "no IP .* in the catalog"),
    ("design.tcl", "CONFIG.c_sg_length_width", "CONFIG.c_sg_length_bits", "has no parameter c_sg_length_bits"),
    ("design.tcl", "lappend settings CONFIG.$name $value", "lappend settings CONFIG.[string tolower $name] $value",
     "has no parameter lanes"),
    ("design.tcl", "{dma/axi_resetn ", "{", "/dma/axi_resetn is not connected"),
    ("design.tcl", "    assign_bd_address\n", "", "no segment is assigned"),
    ("design.tcl", "dma/m_axi_s2mm_aclk ", "", "/dma/m_axi_s2mm_aclk is not connected"),
    ("design.tcl", "CONFIG.c_include_sg 0", "CONFIG.c_include_sg 1", "m_axi_sg_aclk is not connected"),
    ("design.tcl", "    connect_interfaces dma/M_AXI_S2MM memory/S01_AXI\n", "", "M_AXI_S2MM is not connected"),
    ("design.tcl", "dma/M_AXI_MM2S memory/S00_AXI", "dma/M_AXI_MM2S memory/S02_AXI", "no interface"),
    ("design.tcl", "dma/M_AXI_MM2S memory/S00_AXI", "dma/M_AXI_MM2S dma/S_AXIS_S2MM", "unlike kinds|is connected"),
    ("design.tcl", "[pin_of $engine {TYPE == intr && DIR == O}] [get_bd_pins ps/$processor_interrupt]",
     "[get_bd_pins dma/mm2s_introut] [get_bd_pins ps/pl_clk0]", "is no intr|needs one driver"),
    ("design.tcl", "reset/peripheral_aresetn] [get_bd_pins $pin]", "ps/$processor_clock] [get_bd_pins $pin]",
     "is no clk"),
    ("design.tcl", "-type module", "-type ip", "no IP|VLNV"),
    ("design.tcl", "    validate_bd_design\n", "", "not ready for synth_1|no frequency"),
    ("build.tcl", "create_design system", "create_design narrowgauge", "the module narrowgauge exists"),
    ("build.tcl", "    add_files -norecurse $sources\n", "", "no Verilog file of the module"),
    ("build.tcl", "finish_run impl_1", "", "impl_1 is not complete"),
    ("build.tcl", "finish_run synth_1", "finish_run synth_2", "synth_2 was not launched"),
    ("build.tcl", "-include_bit ", "", "xsa"),
    ("build.tcl", "open_run impl_1\n", "", "no implemented design is open"),
    ("build.tcl", "make_wrapper -top -import [get_files system.bd]\n", "", "top system_wrapper"),
    ("build.tcl", "wait_on_run $name", "wait_on_runs $name", "invalid command name"),
    ("processor.tcl", "CONFIG.PSU__USE__IRQ0 1", "CONFIG.PSU__USE__IRQ0 0", "needs two pins|no pin"),
    ("processor.tcl", "bd_rule:zynq_ultra_ps_e", "bd_rule:processing_system7", "rule"),
    ("processor.tcl", "apply_board_preset 1", "apply_board_presets 1", "has no apply_board_presets"),
]  # fmt: skip


@pytest.fixture(scope="module")
def kv260(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("kv260"), find_board("kv260")).parent


@pytest.mark.parametrize(("name", "old", "new", "message"), FAULTS, ids=[fault[3] for fault in FAULTS])
def test_faults_of_the_scripts_are_found(
    name: str, old: str, new: str, message: str, kv260: Path, tmp_path: Path
) -> None:
    script = Path(shutil.copytree(kv260, tmp_path / "vivado"), "build.tcl")
    file = script.with_name(name)
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new), encoding="utf-8")
    outcome = run_vivado(script, settings={"installed": "xilinx.com:kv260_som:part0:1.3"})
    assert outcome.status == 1 and re.search(message, outcome.errors), outcome.errors
    assert not (tmp_path / "deploy").exists()


def test_a_port_without_an_attribute_is_found(tmp_path: Path) -> None:
    """IP Integrator would leave it unconnected."""
    script = write(tmp_path, find_board("kv260"))
    wrapper = script.parent / "rtl" / "narrowgauge.v"
    text = wrapper.read_text(encoding="utf-8")
    attribute = '  (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_axis TLAST" *)\n'
    assert text.count(attribute) == 1
    wrapper.write_text(text.replace(attribute, ""), encoding="utf-8")
    outcome = run_vivado(script, settings={"installed": "xilinx.com:kv260_som:part0:1.3"})
    assert outcome.status == 1 and "28 ports, 27 with X_INTERFACE_INFO" in outcome.errors


# The files.


def test_what_is_written(tmp_path: Path) -> None:
    """Everything is filled in; nothing claims to have been run."""
    for board in BOARDS:
        folder = write(tmp_path / board.name, board).parent
        texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}
        assert set(texts) == {
            "build.tcl", "design.tcl", "processor.tcl", "settings.tcl", "board.tcl", "README.md",
        }  # fmt: skip
        assert not any("@{" in text for text in texts.values())
        assert board.title in texts["README.md"] and board.board_part in texts["README.md"]
        assert "not yet been run with Vivado" in texts["README.md"] and "Not yet run" in texts["build.tcl"]
    assert {path.name for path in TEMPLATES.iterdir()} == {
        "run.tcl", "build.tcl", "design.tcl", "zynq.tcl", "zynqmp.tcl", "settings.tcl", "board.tcl", "clock.xdc",
        "README.md",
    }  # fmt: skip


def test_a_bitstream_is_kept_for_the_same_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same board, engine and RTL; anything else needs a new one."""
    board = find_board("pynq-z2")

    def keep(folder: Path) -> bool:
        return keep_bitstream(tmp_path / "old" / "bitstream", folder / "vivado", folder / "deploy")

    assert not keep(tmp_path / "new")
    assert accepted(build(tmp_path / "old", board))
    for name in ("narrowgauge.bit", "settings.tcl"):
        moved = (tmp_path / "old" / "bitstream" / name).rename(tmp_path / "moved")
        write(tmp_path / "new", board)
        assert not keep(tmp_path / "new")
        moved.rename(tmp_path / "old" / "bitstream" / name)
    assert keep(tmp_path / "new")
    assert (tmp_path / "new" / "deploy" / "narrowgauge.bit").read_text(encoding="utf-8") == "bits"
    assert (tmp_path / "new" / "deploy" / "narrowgauge.hwh").is_file()
    z1 = find_board("pynq-z1")
    deeper = replace(board, engine=replace(board.engine, kv_depth=board.engine.kv_depth + 512))
    for other in (
        z1,
        deeper,
        replace(board, period=9.0),
        replace(board, silicon=replace(board.silicon, lut_columns=2)),
    ):
        write(tmp_path / "other", other)
        assert not keep_bitstream(
            tmp_path / "old", tmp_path / "other" / "vivado", tmp_path / "other" / "deploy"
        )
    changed = tmp_path / "narrowgauge.v"
    changed.write_bytes(WRAPPER.read_bytes() + b"// changed\n")
    monkeypatch.setattr(project, "WRAPPER", changed)
    write(tmp_path / "other", board)
    assert not keep(tmp_path / "other")
    assert not (tmp_path / "other" / "deploy").exists()


def test_compile_writes_the_project_and_keeps_the_bitstream(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`compile --board`: the project, the command to type, and after a run of it the bitstream again."""
    folder = tmp_path / "a build"
    shutil.copytree(root / "examples" / "voice", folder)
    command = ["compile", str(folder), "--no-hls", "--max-length", "16", "--board"]
    assert main([*command, "kv260"]) == 0
    assert f"cd '{folder}/vivado' && vivado -mode batch -source build.tcl" in capsys.readouterr().out
    board = find_board("kv260")
    assert accepted(run_vivado(folder / "vivado" / "build.tcl", settings={"installed": board.board_part}))
    for name in (board.name, board.name.upper()):
        assert main([*command, name]) == 0
        assert f"The bitstream in {folder}/deploy is that of this engine." in capsys.readouterr().out
        assert (folder / "deploy" / "narrowgauge.bit").read_text(encoding="utf-8") == "bits"
    assert damaged_files(folder) == ()
    assert main([*command, "kr260"]) == 0
    assert "For the bitstream of KR260: cd " in capsys.readouterr().out
    assert not (folder / "deploy" / "narrowgauge.bit").exists()
    assert (folder / "bitstream" / "narrowgauge.bit").is_file()
    assert main([*command, "u50"]) == 0
    assert "There is no block design for Alveo U50" in capsys.readouterr().out
    assert not (folder / "vivado").exists()


def test_compile_takes_the_part_of_a_board_everywhere(root: Path, tmp_path: Path) -> None:
    """That of a file of the user too; without a board, the HLS project is for the ZCU104."""
    folder = tmp_path / "build"
    shutil.copytree(root / "examples" / "voice", folder)
    file = tmp_path / "mine.toml"
    text = (FOLDER / "kr260.toml").read_text(encoding="utf-8")
    file.write_text(text.replace('"xck26-sfvc784-2LV-c"', '"xck26-sfvc784-2LVI-i"'), encoding="utf-8")
    for options, part, period in (
        (["--board", str(file)], "xck26-sfvc784-2LVI-i", 5),
        (["--board", "pynq-z1"], "xc7z020clg400-1", 10),
        ([], "xczu7ev-ffvc1156-2-e", 5),
    ):
        assert main(["compile", str(folder), "--max-length", "8", *options]) == 0
        for name in ("hls_config.cfg", "hls_config_array.cfg"):
            config = (folder / "hls" / name).read_text(encoding="utf-8")
            assert f"part={part}\n" in config and f"clock={period}ns\n" in config
        script = (folder / "hls" / "run_hls.tcl").read_text(encoding="utf-8")
        assert f"set_part {{{part}}}\ncreate_clock -period {period}\n" in script
        assert (folder / "vivado").exists() == bool(options)
        if options:
            settings = (folder / "vivado" / "settings.tcl").read_text(encoding="utf-8")
            assert f"set part {part}\n" in settings and f"set period {period}\n" in settings
