"""The instruction set: encodings, what is generated from it, and its text form."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.cli import main
from narrowgauge.errors import UserError
from narrowgauge.hls.build import CSIM, SOURCES, WARNINGS
from narrowgauge.hw import isa
from narrowgauge.hw.isa import (
    Contract,
    Instruction,
    LayerNorm,
    Memory,
    Parameters,
    Space,
    assembler,
    generate,
    generate_sv,
)
from narrowgauge.hw.isa.generate_tables import document
from narrowgauge.hw.isa.program import Program, ProgramError, from_bytes, to_bytes

KINDS = list(isa.OPCODES)


def values(field: isa.Field) -> st.SearchStrategy[int]:
    return st.sampled_from(field.allowed) if field.allowed else st.integers(field.lo, field.hi)


def sound(kind: Any, values: dict[str, int]) -> Instruction:
    """The nearest instruction that meets the conditions between fields."""
    for rule in isa.RULES[kind]:
        if values[rule.field] != rule.value:
            values |= {name: min(max(lo, values[name]), hi) for name, (lo, hi) in rule.limits.items()}
    enums = {f.name: f.enum for f in isa.fields(kind)}
    instruction: Instruction = kind(**{name: (enums[name] or int)(value) for name, value in values.items()})
    return instruction


@st.composite
def instructions(draw: st.DrawFn, kinds: tuple[Any, ...] = tuple(KINDS)) -> Instruction:
    kind = draw(st.sampled_from(kinds))
    return sound(kind, {field.name: draw(values(field)) for field in isa.fields(kind)})


@st.composite
def programs(draw: st.DrawFn) -> Program:
    lists = {
        "init": (isa.Load,),
        "array": (Contract,),
        "vector": (isa.Softmax, LayerNorm),
        "stream": (isa.Load, isa.Store),
    }
    depths = {
        f"{memory.name.lower()}_depth": draw(st.integers(8, isa.MEMORIES[memory].max_depth // 2)) * 2
        for memory in Memory
    }
    return Program(
        parameters=Parameters(lanes=draw(st.sampled_from(isa.LANES)), **depths),
        max_length=draw(st.integers(1, isa.MAX_LENGTH)),
        sentences=draw(st.integers(1, isa.SENTENCES)),
        image_crc=draw(st.integers(0, (1 << 32) - 1)),
        **{name: tuple(draw(st.lists(instructions(kinds), max_size=3))) for name, kinds in lists.items()},
    )


def bits_of(instruction: Instruction) -> str:
    """An encoding written from the field widths alone: a string of bits, the highest first."""
    text = format(int(isa.OPCODES[type(instruction)]), "03b")
    for field in dataclasses.fields(instruction):
        width = field.metadata["width"]
        text = format(int(getattr(instruction, field.name)) % 2**width, f"0{width}b") + text
    return text.rjust(512, "0")


@given(instructions())
def test_encoding(instruction: Instruction) -> None:
    data = isa.encode(instruction)
    assert format(int.from_bytes(data, "little"), "0512b") == bits_of(instruction)
    assert isa.decode(data) == instruction


@given(instructions(), st.data())
def test_a_field_out_of_its_range_is_refused(instruction: Instruction, data: st.DataObject) -> None:
    fields = isa.fields(type(instruction))
    word = int.from_bytes(isa.encode(instruction), "little")
    limited = [f for f in fields if 2**f.width != (len(f.allowed) if f.allowed else f.hi - f.lo + 1)]
    end = fields[-1].low + fields[-1].width
    choice = data.draw(st.integers(-1, len(limited) - 1))
    if choice < 0:
        wrong = word | 1 << data.draw(st.integers(end, 511))
    else:
        field = limited[choice]
        bad = [
            v
            for v in range(2**field.width)
            if not field.holds(v - 2**field.width if field.signed and v >> (field.width - 1) else v)
        ]
        value = data.draw(st.sampled_from(bad))
        wrong = word & ~((2**field.width - 1) << field.low) | value << field.low
    with pytest.raises(isa.FieldError):
        isa.decode(wrong.to_bytes(64, "little"))


def test_no_opcode_is_zero() -> None:
    for opcode in {0, 1, 2, 3, 4, 5, 6, 7} - set(isa.Opcode):
        with pytest.raises(isa.FieldError):
            isa.decode(opcode.to_bytes(64, "little"))


def test_the_generated_files_are_up_to_date(root: Path) -> None:
    assert generate.outdated(root) == []


def test_the_document_has_every_table_once(root: Path) -> None:
    text = (root / "docs" / "isa.md").read_text(encoding="utf-8")
    assert document(text) == text
    emptied = re.sub(r"(<!-- generated: \w+ -->\n).*?(<!-- end -->)", r"\1\2", text, flags=re.DOTALL)
    assert len(emptied) < len(text)
    assert document(emptied) == text
    with pytest.raises(ValueError, match="unknown table nothing"):
        document(text + "<!-- generated: nothing -->\n<!-- end -->")
    with pytest.raises(ValueError, match="once"):
        document("")


def test_check_lists_files_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copy(root / "docs" / "isa.md", tmp_path / "docs")
    monkeypatch.setattr(generate, "_ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    assert not (tmp_path / "hls").exists()
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


@pytest.mark.parametrize(
    "path", ["hls/src/isa.hpp", "hls/src/decode.hpp", "hw/rtl/ng_isa_pkg.sv", "docs/isa.md"]
)
def test_check_compares_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path, path: str) -> None:
    for output in generate.outputs(root):
        copy = tmp_path / output.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(output, copy)
    monkeypatch.setattr(generate, "_ROOT", tmp_path)
    assert generate.main(["--check"]) == 0
    content = (tmp_path / path).read_bytes()
    for edited in (content.replace(b"\n", b"\r\n"), content + b"\n"):
        if path != "docs/isa.md" or edited[-2:] == b"\r\n":
            (tmp_path / path).write_bytes(edited)
            assert generate.main(["--check"]) == 1


def test_tables_without_a_document_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "_ROOT", tmp_path)
    for _ in range(2):
        with pytest.raises(SystemExit) as caught:
            generate.main(["--check"])
        assert caught.value.code == 2
        assert "the tables can't be updated: " in capsys.readouterr().err
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / "isa.md").write_text("no table")


def test_every_register_and_memory_has_its_own_place() -> None:
    addresses = [register.address for register in isa.REGISTERS]
    assert addresses == sorted(set(addresses))
    assert all(address % 4 == 0 for address in addresses)
    names = [register.name for register in isa.REGISTERS]
    assert len(set(names)) == len(names)
    assert list(isa.MEMORIES) == list(Memory)
    assert len(isa.HEADER) % 2 == 0


def test_the_structures_of_systemverilog_have_the_bits_of_the_encoding() -> None:
    package = generate_sv.package()
    for kind, opcode in isa.OPCODES.items():
        match = re.search(
            r"typedef struct packed \{((?:(?!typedef).)*?)\} " + opcode.name.lower() + "_t;",
            package,
            re.DOTALL,
        )
        assert match is not None
        at = isa.INSTRUCTION_BITS
        places = {}
        for signed, high, low, name in re.findall(
            r"^ +logic (signed )?(?:\[(\d+):(\d+)\] )?(\w+);", match[1], re.MULTILINE
        ):
            width = int(high) - int(low) + 1 if high else 1
            at -= width
            places[name] = (at, width, bool(signed))
        assert at == 0
        for field in isa.fields(kind):
            assert places[field.name] == (field.low, field.width, field.signed)


def accepted(word: int) -> list[int] | None:
    """The values of an instruction's fields, or None where Python refuses it."""
    try:
        instruction = isa.decode(word.to_bytes(64, "little"))
    except isa.FieldError:
        return None
    return [int(getattr(instruction, field.name)) for field in isa.fields(type(instruction))]


def edge_values(field: isa.Field) -> list[int]:
    """Values at and next to the bounds of a field and of its width; every code of an enumeration."""
    if field.enum:
        return list(range(field.most + 1))
    near = {bound + step for bound in (field.lo, field.hi) for step in (-1, 0, 1)} | {field.least, field.most}
    return sorted(value for value in near if field.least <= value <= field.most)


def words() -> list[int]:
    """Instruction words: every field at its bounds, every condition met and broken, and random changes."""
    rng = random.Random(1)
    result = list(range(8))
    for kind, opcode in isa.OPCODES.items():
        fields = {field.name: field for field in isa.fields(kind)}

        def word(values: dict[str, int], opcode: int = opcode, fields: dict[str, isa.Field] = fields) -> int:
            return opcode | sum(
                (values[name] & (1 << field.width) - 1) << field.low for name, field in fields.items()
            )

        def valid(kind: Any = kind, fields: dict[str, isa.Field] = fields) -> dict[str, int]:
            drawn = {
                name: rng.choice(field.allowed) if field.allowed else rng.randint(field.lo, field.hi)
                for name, field in fields.items()
            }
            instruction = sound(kind, drawn)
            return {name: int(getattr(instruction, name)) for name in fields}

        for name, field in fields.items():
            for value in edge_values(field):
                result += [word(valid() | {name: value}) for _ in range(3)]
        for rule in isa.RULES[kind]:
            for name in rule.limits:
                for value in edge_values(fields[name]):
                    for condition in edge_values(fields[rule.field]):
                        result.append(word(valid() | {name: value, rule.field: condition}))
        for bit in {isa.reserved_low(kind), 511, rng.randint(isa.reserved_low(kind), 511)}:
            result.append(word(valid()) | 1 << bit)
        result += [word(valid()) ^ 1 << rng.randrange(512) for _ in range(300)]
        result += [word(valid()) for _ in range(100)]
    return result


def test_python_and_systemverilog_accept_the_same_words() -> None:
    package = generate_sv.package()
    codes = {
        name: int(value) for name, value in re.findall(r"^ +(\w+) = \d+'d(\d+),?$", package, re.MULTILINE)
    }
    checks = {}
    for opcode in isa.Opcode:
        name = opcode.name.lower()
        match = re.search(rf"logic {name}_ok\({name}_t i\);\s+return (.*?);", package, re.DOTALL)
        assert match is not None
        text = re.sub(r"i\.(\w+)", r"i['\1']", match[1].replace("'0", "0"))
        text = text.replace("&&", "and").replace("||", "or")
        checks[int(opcode)] = compile(" ".join(text.split()), name, "eval")
    outcomes = []
    for word in words():
        expected = accepted(word)
        if word % 8 in checks:
            kind = next(kind for kind, opcode in isa.OPCODES.items() if opcode == word % 8)
            values = {"opcode": word % 8, "reserved": word >> isa.reserved_low(kind)}
            for field in isa.fields(kind):
                value = word >> field.low & (1 << field.width) - 1
                values[field.name] = value - (1 << field.width) if value > field.most else value
            assert eval(checks[word % 8], {"i": values, **codes}) == (expected is not None), hex(word)
            outcomes.append(expected is not None)
    assert len(outcomes) > 3000 and 500 < sum(outcomes) < len(outcomes) - 500


CHECK = """
#include "decode.hpp"
#include <cstdio>
using namespace ng;
template <class I, class... F> static void show(I& i, isa::Fields<F...>, const InstructionWord& word) {
    if (decode(word, i)) (std::printf("%d ", int(to_int(take<F>(word)))), ...);
    else std::printf("refused");
}
int main() {
    std::uint64_t parts[8];
    while (std::fread(parts, 8, 8, stdin) == 8) {
        InstructionWord word;
        for (int i = 0; i < 8; ++i) word.part[i] = parts[i];
        Contract contract; Softmax softmax; LayerNorm norm; Load load; Store store;
        switch (parts[0] & 7u) {
            case isa::OPCODE_CONTRACT: show(contract, isa::contract::All{}, word); break;
            case isa::OPCODE_SOFTMAX: show(softmax, isa::softmax::All{}, word); break;
            case isa::OPCODE_LAYERNORM: show(norm, isa::layernorm::All{}, word); break;
            case isa::OPCODE_LOAD: show(load, isa::load::All{}, word); break;
            default: show(store, isa::store::All{}, word); break;
        }
        std::printf("\\n");
    }
    for (unsigned m = 0; m < isa::MEMORY_COUNT; ++m)
        std::printf("%u %u %u\\n", isa::MAX_DEPTH[m], isa::beats(m, 8), isa::beats(m, 32));
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not there")
def test_python_and_cpp_decode_the_same_words(tmp_path: Path) -> None:
    (tmp_path / "check.cpp").write_text(CHECK, encoding="utf-8")
    subprocess.run(
        [
            "g++",
            "-std=c++17",
            *WARNINGS,
            "-DNG_NATIVE_TYPES",
            f"-I{SOURCES}",
            f"-I{CSIM}",
            "check.cpp",
            "-o",
            "check",
        ],
        cwd=tmp_path,
        check=True,
    )
    tried = words()
    expected = []
    for word in tried:
        values = accepted(word)
        expected.append("refused" if values is None else " ".join(map(str, values)) + " ")
    assert len(tried) > 3000 and 500 < expected.count("refused") < len(tried) - 500
    expected += [f"{kind.max_depth} {kind.beats(8)} {kind.beats(32)}" for kind in isa.MEMORIES.values()]
    data = b"".join(word.to_bytes(64, "little") for word in tried)
    result = subprocess.run([tmp_path / "check"], input=data, capture_output=True, check=True)
    assert result.stdout.decode().splitlines() == expected


@given(programs())
def test_text_and_back(program: Program) -> None:
    text = assembler.disassemble(program)
    assert assembler.assemble(text) == program
    assert from_bytes(to_bytes(program)) == program


def test_text_is_free_in_form() -> None:
    program = assembler.assemble(
        "# a comment\n.lanes 8\n\n.array\n  CONTRACT nk=0x10   shift=-3 b_space=VECTOR # end\n.init\n.array\nCONTRACT"
    )
    assert program.array == (Contract(nk=16, shift=-3, b_space=Space.VECTOR), Contract())
    assert program.parameters == Parameters(lanes=8)
    assert (program.max_length, program.sentences, program.init) == (isa.MAX_LENGTH, 1, ())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("CONTRACT", "line 1: this instruction belongs to no list"),
        (".array\nCONTRACT\nMULTIPLY", "line 3: unknown instruction MULTIPLY"),
        (".array\nCONTRACT colour=3", "line 2: CONTRACT has no field 'colour'"),
        (".array\nCONTRACT nk", "line 2: nk has no value"),
        (".array\nCONTRACT nk=many", "line 2: expected a whole number, got 'many'"),
        (".array\nCONTRACT nk=1 nk=1", "line 2: nk is given twice"),
        (".array\nCONTRACT nk=8192", "line 2: CONTRACT: nk must be 0 to 8191, got 8192"),
        (".array\nCONTRACT a_space=ACT", "line 2: a_space must be one of WEIGHT, KV, IDENTITY, got 'ACT'"),
        (".array\nCONTRACT bits=9", "line 2: CONTRACT: bits must be 2 to 8 unless c_space is WIDE, got 9"),
        (
            ".array\nCONTRACT bits=9 c_space=WIDE has_table=1",
            "line 2: CONTRACT: bits must be 8 unless has_table is 0",
        ),
        (".array\nCONTRACT keep=1 n1=2", "line 2: CONTRACT: n1 must be 1 unless keep is 0, got 2"),
        (
            ".array\nCONTRACT keep=1 n2_source=BLOCKS",
            "line 2: CONTRACT: n2_source must be CONST unless keep is 0",
        ),
        (".vector\nLAYERNORM count=1025", "line 2: LAYERNORM: count must be 1 to 1024, got 1025"),
        (".index_depth 63", "the header is not valid: index_depth must be even, got 63"),
        (".lanes", "line 1: .lanes takes one number"),
        (".lanes 8 8", "line 1: .lanes takes one number"),
        (".array 3", "line 1: .array takes no value"),
        (".sentences 3", "line 1: .sentences must be 1 to 2, got 3"),
        (".max_length 0", "line 1: .max_length must be 1 to 512, got 0"),
        (".lanes 7", "the header is not valid: lanes must be one of 8, 16, 32, got 7"),
        (".stat_depth 65", "the header is not valid: stat_depth must be 1 to 64, got 65"),
    ],
)
def test_mistakes_in_text(text: str, sentence: str) -> None:
    with pytest.raises(UserError) as stop:
        assembler.assemble(text)
    assert str(stop.value).startswith(sentence)
    assert str(stop.value).endswith(".")
    assert "\n" not in str(stop.value)


PROGRAM = """
.lanes 8
.max_length 16
.sentences 2
.init
LOAD count=4
.array
CONTRACT nk=4 stat=MAX
CONTRACT sentence=1 block=1
.vector
SOFTMAX wait_array=1
.stream
STORE wait_vector=1
"""


def test_disasm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = assembler.assemble(PROGRAM)
    (tmp_path / "program.bin").write_bytes(to_bytes(program))
    assert main(["disasm", str(tmp_path)]) == 0
    plain = capsys.readouterr().out
    assert assembler.assemble(plain) == program
    assert (
        main(["disasm", str(tmp_path / "program.bin"), "--times", "5,8", "--json", str(tmp_path / "x.json")])
        == 0
    )
    timed = capsys.readouterr().out
    assert assembler.assemble(timed) == program
    assert re.search(r"^CONTRACT nk=4 stat=MAX  # 0: cycles 0 to \d+$", timed, re.MULTILINE)
    assert re.search(r"^CONTRACT sentence=1 block=1  # 1: skipped$", timed, re.MULTILINE)
    assert re.search(r"^SOFTMAX wait_array=1  # 0: cycles \d+ to \d+, waited \d+$", timed, re.MULTILINE)
    report = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert report["parameters"]["lanes"] == 8
    assert report["array"][0]["opcode"] == "CONTRACT" and report["array"][0]["stat"] == "MAX"
    assert [event["unit"] for event in report["events"]].count("array") == 2
    assert report["lengths"] == [5, 8]


def test_disasm_of_what_is_no_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("narrowgauge" * 50, encoding="utf-8")
    (tmp_path / "program.bin").write_bytes(to_bytes(assembler.assemble(PROGRAM)))
    for arguments in (
        [str(tmp_path / "folder")],
        [str(tmp_path / "text")],
        [str(tmp_path / "nothing")],
        [str(tmp_path / "program.bin"), "--times", "17"],
        [str(tmp_path / "program.bin"), "--times", "1,1,1"],
    ):
        assert main(["disasm", *arguments]) == 2
        sentence = capsys.readouterr().err
        assert sentence.startswith("narrowgauge: ") and sentence.count("\n") == 1
    with pytest.raises(SystemExit) as stop:
        main(["disasm", str(tmp_path), "--times", "none"])
    assert stop.value.code == 2


@given(programs(), st.data())
def test_a_damaged_program_is_refused(program: Program, data: st.DataObject) -> None:
    good = to_bytes(program)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProgramError):
        from_bytes(bytes(bad))
    with pytest.raises(ProgramError) as stop:
        from_bytes(good[: data.draw(st.integers(0, len(good) - 1))])
    assert stop.value.error is isa.Error.TRUNCATED
    with pytest.raises(ProgramError) as stop:
        from_bytes(good + bytes(8))
    assert stop.value.error is isa.Error.OVERRUN


@pytest.mark.parametrize("value", [8192.5, 16.0, True, "16", None, [16]], ids=repr)
@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Parameters)])
def test_an_engine_has_whole_numbers(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field} must be a whole number, got ") as refused:
        Parameters(**{field: value})
    assert repr(value) in str(refused.value)
