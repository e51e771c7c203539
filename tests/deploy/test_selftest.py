"""Test vectors, the self-test, the times of `bench`, and the folder that is copied to a board: without a board."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from narrowgauge.cli import main
from narrowgauge.deploy.bench import PARTS, bench, usual_texts
from narrowgauge.deploy.selftest import selftest
from narrowgauge.deploy.vectors import VECTORS_FILE, make_vectors, read_vectors, write_vectors
from narrowgauge.errors import UserError
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.hw.host.record import checksum
from narrowgauge.hw.isa import BEAT_BYTES
from narrowgauge.sim.engine.simulator import ProgramSimulator

from ..support.builds import SmallBuild, small_build


@pytest.fixture(scope="module", params=["single", "pairs", "two"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SmallBuild:
    return small_build(
        tmp_path_factory.mktemp("small"),
        pairs=request.param == "pairs",
        sentences=1 + (request.param == "two"),
    )


class Wrong(ProgramSimulator):
    """A simulator whose packets may have a fault."""

    spoil: Any = None

    def run(self, *arguments: Any, **options: Any) -> bytes:
        results = super().run(*arguments, **options)
        if self.spoil is not None:
            self.packet = self.spoil(self.packet)
        return results


def test_vectors_are_written_and_read(small: SmallBuild, tmp_path: Path) -> None:
    build = read_engine(small.folder)
    vectors = make_vectors(build)
    lengths = {length for vector in vectors for length in vector.lengths}
    lanes, most = build.program.parameters.lanes, build.program.max_length
    assert lengths >= {1, 2, lanes - 1, lanes, lanes + 1, most}
    assert max(len(vector.lengths) for vector in vectors) == build.program.sentences
    assert len({vector.results for vector in vectors}) == len(vectors) >= 9
    write_vectors(tmp_path, build, vectors)
    assert read_vectors(tmp_path, build) == vectors == make_vectors(build)
    # A folder without the file has the same vectors.
    assert read_vectors(small.folder, build) == vectors


def test_an_engine_that_is_right_passes(small: SmallBuild) -> None:
    build = read_engine(small.folder)
    vectors = make_vectors(build)
    shown: list[tuple[int, int]] = []
    with ProgramSimulator(build.engine, strict=True) as engine:
        report = selftest(build, engine, vectors, lambda done, of: shown.append((done, of)))
    assert report.passed and report.recovers and not report.different and report.cycles is None
    assert report.runs == len(vectors)
    assert report.words == sum(len(vector.results) for vector in vectors) // BEAT_BYTES
    assert shown == [(done, len(vectors) + 1) for done in range(1, len(vectors) + 2)]


def test_the_driver_passes_on_a_board_without_rtl(root: Path, tmp_path: Path) -> None:
    """The device that the slow tests of fresh environments use: it needs pynq, and no compiler."""
    pytest.importorskip("pynq", reason="the extra `board` is not installed")
    from ..support.simulator_board import simulator_board

    build = read_engine(root / "examples" / "voice")
    with simulator_board(build, tmp_path) as board:
        assert selftest(build, board, make_vectors(build)).passed


def test_each_word_is_compared(small: SmallBuild) -> None:
    build = read_engine(small.folder)
    vectors = make_vectors(build)
    words = len(vectors[0].results) // BEAT_BYTES
    for word in {0, 1, words - 1}:
        with Wrong(build.engine) as engine:
            at = word * BEAT_BYTES + 3
            engine.spoil = lambda packet, at=at: packet[:at] + bytes([packet[at] ^ 1]) + packet[at + 1 :]
            report = selftest(build, engine, vectors)
        assert not report.passed
        assert report.different[0].startswith(f"run 0, word {word}: 0x") and len(report.different) >= 1
    with Wrong(build.engine) as engine:
        engine.spoil = lambda packet: packet[:-BEAT_BYTES]
        report = selftest(build, engine, vectors)
    assert f"run 0, {words} words expected, got {words - 1}" in report.different and not report.passed
    assert len(report.different) == len(vectors)


def test_an_engine_that_reports_no_error_fails(small: SmallBuild) -> None:
    build = read_engine(small.folder)

    class Silent(ProgramSimulator):
        def run(self, packet: bytes, lengths: Any, *arguments: Any, **options: Any) -> bytes:
            return super().run(packet, [max(1, n) for n in lengths], *arguments, **options)

    vectors = [vector for vector in make_vectors(build) if vector.lengths == (1,)]
    with Silent(build.engine) as engine:
        report = selftest(build, engine, vectors)
    assert (report.different, report.recovers, report.passed) == ((), False, False)


def test_damaged_vectors_are_one_sentence(small: SmallBuild, tmp_path: Path) -> None:
    build = read_engine(small.folder)
    write_vectors(tmp_path, build, make_vectors(build)[:2])
    path = tmp_path / VECTORS_FILE
    whole = json.loads(path.read_text(encoding="utf-8"))
    changes: list[dict[str, Any]] = [
        {"format": "other"},
        {"version": 2},
        {"runs": [{}]},
        {"runs": 3},
        {"runs": [{**whole["runs"][0], "results": "%"}]},
    ]

    def write(change: dict[str, Any]) -> None:
        content = {key: value for key, value in (whole | change).items() if key != "checksum"}
        path.write_text(json.dumps(content | {"checksum": checksum(content)}), encoding="utf-8")

    for change in changes:
        write(change)
        with pytest.raises(UserError, match="is damaged, or has no test vectors of this version"):
            read_vectors(tmp_path, build)
    # Without a new checksum, any other word is damage.
    rng = random.Random(0)
    text = json.dumps(whole)
    numbers = [at for at, letter in enumerate(text) if letter.isdigit()]
    for at in rng.sample(numbers, 50):
        path.write_text(f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}", encoding="utf-8")
        with pytest.raises(UserError):
            read_vectors(tmp_path, build)
    changes = [{"build": "0" * 64}, {"runs": []}]
    for change in changes:
        write(change)
        with pytest.raises(UserError, match="has the vectors of another build"):
            read_vectors(tmp_path, build)


def test_times_add_up(small: SmallBuild) -> None:
    build = read_engine(small.folder)
    texts = usual_texts(build)
    assert len(texts) == 6 and usual_texts(build) == texts
    with ProgramSimulator(build.engine) as engine:
        times = bench(build, engine, texts, 5)
    assert times.sentences == 5 * build.program.sentences and len(times.latency) == 5
    assert set(times.parts) == set(PARTS) and all(seconds > 0 for seconds in times.parts.values())
    assert sum(times.parts.values()) == pytest.approx(times.seconds)
    assert min(times.latency) <= times.percentile(50) <= times.percentile(99) <= max(times.latency)


def test_compile_writes_what_is_copied_to_a_board(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "voice"
    shutil.copytree(root / "examples" / "voice", folder)
    assert main(["compile", str(folder), "--board", "pynq-z2", "--no-hls"]) == 0
    deploy = folder / "deploy"
    names = {"README.md", "engine.json", "program.bin", "stream.bin", "vectors.json", "weights.bin"}
    assert {path.name for path in deploy.iterdir()} == names
    size = sum(path.stat().st_size for path in deploy.iterdir())
    assert size < 5_000_000
    said = f"deploy/ is what is copied to PYNQ-Z2: {size:,} bytes without the bitstream."
    assert said in capsys.readouterr().out
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert {f"deploy/{name}" for name in names} <= set(manifest["files"])
    # It is complete: another folder has no model, and the vectors are those of the build.
    build = read_engine(deploy)
    assert build == read_engine(folder)
    vectors = read_vectors(deploy, build)
    with ProgramSimulator(build.program.parameters) as engine:
        assert selftest(build, engine, vectors).passed
    assert "PYNQ-Z2" in (deploy / "README.md").read_text(encoding="utf-8")
    # Compiled for no board, a build has nothing to copy.
    assert main(["compile", str(folder), "--no-hls"]) == 0
    assert not deploy.exists()
