"""A build is replaced atomically: if export or compile is stopped, the folder is either the old or the new one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from narrowgauge import folders
from narrowgauge.cli import main
from narrowgauge.errors import UserError
from narrowgauge.files import locked_folder, sha256
from narrowgauge.folders import replaced_folder
from narrowgauge.graph.onnx_io import damaged_files, read_build, read_manifest
from narrowgauge.hw.compiler.build import CONTENT
from narrowgauge.hw.host.build import DEPLOY_FOLDER, VIVADO_FOLDER
from narrowgauge.hw.host.folder import read_engine

from ..support.builds import small_run
from ..support.killed import STOPPED, Killer

NOTES = "notes.txt"
"""A user's file in a build."""

Sums = dict[str, str]


def sums(folder: Path) -> Sums:
    """Checksums of all files of the build."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != NOTES)
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


@dataclass(frozen=True)
class Scene:
    """A build of one model, and a command that makes another in its place.

    Attributes:
        old: the build as it is before; None where there is none.
        command: arguments, but for the folder of the build.
        before, after: checksums of the build.
        operations: file operations of the command.
    """

    old: Path | None
    command: tuple[str, ...]
    before: Sums
    after: Sums
    operations: tuple[str, ...]

    def arguments(self, build: Path) -> list[str]:
        return [str(build) if word == "BUILD" else word for word in self.command]


class Stage:
    """Runs scenes in separate folders."""

    def __init__(self, root: Path, killer: Killer) -> None:
        self.root, self.killer = root, killer
        runs = []
        for seed in (1, 2):
            (root / str(seed)).mkdir()
            runs.append(str(small_run(root / str(seed), seed)))
        self.old = root / "old"
        assert main(["export", runs[0], "--out", str(self.old), "--lanes", "8"]) == 0
        (self.old / NOTES).write_text("mine")
        self.commands: dict[str, tuple[Path | None, tuple[str, ...]]] = {
            "export": (None, ("export", runs[1], "--out", "BUILD", "--lanes", "8")),
            "export over": (self.old, ("export", runs[1], "--out", "BUILD", "--lanes", "8")),
            "compile": (self.old, ("compile", "BUILD", "--lanes", "16")),
        }
        self.scenes: dict[str, Scene] = {}

    def scene(self, name: str) -> Scene:
        if name not in self.scenes:
            old, command = self.commands[name]
            work, build = self.build(old)
            scene = Scene(old, command, {}, {}, ())
            (status,), operations = self.killer.run(work, scene.arguments(build))
            assert status == 0
            before = sums(old) if old is not None else {}
            self.scenes[name] = Scene(old, command, before, sums(build), tuple(operations))
            assert before != self.scenes[name].after
        return self.scenes[name]

    def build(self, old: Path | None) -> tuple[Path, Path]:
        """A folder with a copy of a build."""
        work = self.root / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        if old is not None:
            shutil.copytree(old, work / "build")
        return work, work / "build"

    def stopped(self, name: str, at: int, exchange: bool = True) -> str:
        """Stops a command at an operation; returns which build remains: "old", "new", or the old one "moved" away."""
        scene = self.scene(name)
        work, build = self.build(scene.old)
        (status,), _ = self.killer.run(work, scene.arguments(build), stop=at, exchange=exchange)
        assert status == STOPPED
        found = sums(build)
        left = sorted(path.name for path in work.iterdir())
        moved = scene.old is not None and not build.exists()
        assert found in (scene.before, scene.after) or (moved and not exchange), (at, left)
        if found:
            read_build(build)
            read_engine(build)
        (status,), _ = self.killer.run(work, scene.arguments(build), exchange=exchange)
        assert status == 0, (at, left)
        assert sums(build) == scene.after
        assert scene.old is None or (build / NOTES).read_text() == "mine", (at, left)
        assert [path.name for path in work.iterdir()] == ["build"], (at, left)
        return "moved" if moved else "old" if found == scene.before else "new"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Killer() as killer:
        yield Stage(tmp_path_factory.mktemp("commit"), killer)


def swap_of(scene: Scene) -> int:
    """The number of the operation that exchanges the folders."""
    (at,) = (at for at, event in enumerate(scene.operations) if event == "ctypes.dlsym")
    return at


@pytest.mark.parametrize("name", ["export", "export over", "compile"])
def test_a_command_that_is_stopped_leaves_the_old_build_or_the_new_one(stage: Stage, name: str) -> None:
    scene = stage.scene(name)
    swap, count = swap_of(scene), len(scene.operations)
    assert count > 100
    points = (0, swap // 2, swap, swap + 1, count - 1)
    assert [stage.stopped(name, at) for at in points] == ["old", "old", "old", "new", "new"]


@pytest.mark.slow
@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("name", ["export", "export over", "compile"])
def test_a_command_that_is_stopped_anywhere(stage: Stage, name: str, exchange: bool) -> None:
    scene = stage.scene(name)
    swap, count = swap_of(scene), len(scene.operations)
    near = range(swap - 12, swap + 12)
    points = sorted({*range(0, count, 9), *(at for at in near if at < count)})
    assert len(points) > 40
    assert {stage.stopped(name, at, exchange) for at in points} >= {"old", "new"}


def test_where_folders_cannot_be_exchanged_the_next_command_brings_the_old_one_back(stage: Stage) -> None:
    # Without the exchange, the following operations differ: a folder for the old one, and two renames.
    swap = swap_of(stage.scene("compile"))
    states = [stage.stopped("compile", at, exchange=False) for at in range(swap, swap + 4)]
    assert states == sorted(states, key=("old", "moved", "new").index)
    assert set(states) == {"old", "moved", "new"}


def test_of_two_commands_at_once_one_is_refused_or_both_are_whole(stage: Stage) -> None:
    one = stage.scene("export over")
    for other in (one, stage.scene("compile")):
        work, build = stage.build(stage.old)
        statuses, _ = stage.killer.run(work, one.arguments(build), other.arguments(build))
        assert sorted(statuses) in ([0, 0], [0, 2])
        read_build(build)
        read_engine(build)
        assert sums(build).keys() == one.after.keys()
        # One after the other, they give a build of the other model for the other engine.
        wanted = [one.after, other.after]
        assert statuses == [0, 0] or sums(build) == wanted[statuses.index(0)]
        assert [path.name for path in work.iterdir()] == ["build"]


def test_a_build_that_is_written_to_refuses_a_second_command(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("export over", "compile"):
        scene = stage.scene(name)
        _, build = stage.build(stage.old)
        with locked_folder(build, "export or compile"):
            assert main(scene.arguments(build)) == 2
        assert f"another export or compile is running in {build}" in capsys.readouterr().err
        assert sums(build) == scene.before


def test_the_manifest_names_every_file(stage: Stage) -> None:
    for name in ("export", "export over", "compile"):
        scene = stage.scene(name)
        work, build = stage.build(scene.old)
        stage.killer.run(work, scene.arguments(build))
        files = read_manifest(build).files
        assert {path: entry.sha256 for path, entry in files.items()} | {
            "manifest.json": sha256(build / "manifest.json")
        } == sums(build)
        assert "hls/vectors/runs.bin" in files and "program.bin" in files
        # `vivado` is only written for a board.
        assert {path.partition("/")[0] for path in sums(build)} | {DEPLOY_FOLDER} == CONTENT - {VIVADO_FOLDER}
        assert all((build / path).stat().st_size == entry.size for path, entry in files.items())


def test_damage_to_any_file_is_found(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    _, build = stage.build(stage.old)
    names = sorted(read_manifest(build).files)
    assert damaged_files(build) == () and len(names) > 20
    for name in names:
        content = (build / name).read_bytes()
        for other in (content + b"x", bytes(reversed(content)), None):
            if other == content:
                continue
            (build / name).unlink()
            if other is not None:
                (build / name).write_bytes(other)
            assert damaged_files(build) == (name,)
        (build / name).write_bytes(content)
    arguments = ["verify", str(build), "--data", str(stage.root / "1" / "data"), "--levels", "golden,program"]
    assert main(arguments) == 0
    (build / "hls" / "Makefile").unlink()
    capsys.readouterr()
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert "NOT EQUAL: hls/Makefile;" in out and out.endswith("NOT EQUAL\n")


def test_an_export_without_an_engine_leaves_nothing_of_an_earlier_one(stage: Stage) -> None:
    _, build = stage.build(stage.old)
    command = stage.commands["export"][1]
    assert main([str(build) if word == "BUILD" else word for word in command[:4]] + ["--no-engine"]) == 0
    assert {path.name for path in build.iterdir()} == {"model.onnx", "manifest.json", NOTES}


def test_a_link_to_a_build_stays_one(stage: Stage) -> None:
    work, build = stage.build(stage.old)
    link = work / "link"
    link.symlink_to("build")
    scene = stage.scene("compile")
    assert main(scene.arguments(link)) == 0
    assert link.is_symlink() and sums(build) == scene.after


def test_a_command_may_run_in_the_build(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    _, build = stage.build(stage.old)
    monkeypatch.chdir(build)
    scene = stage.scene("compile")
    assert main([*scene.arguments(Path()), "--json", "report.json"]) == 0
    assert json.loads((build / "report.json").read_text())["engine"]["lanes"] == 16
    (build / "report.json").unlink()
    assert sums(build) == scene.after


def test_temporary_files_of_an_earlier_version_are_no_hindrance(stage: Stage) -> None:
    scene = stage.scene("export")
    _, build = stage.build(None)
    build.mkdir()
    (build / ".model.onnx.k3j2x_9a").write_bytes(b"half")
    assert main(scene.arguments(build)) == 0
    assert sums(build) == scene.after


OURS = ("a", "b")


def write(path: Path, content: str, interrupt: type[BaseException] | None = None) -> None:
    """Replaces a folder with one that has the file `a`."""
    with replaced_folder(path, "test", OURS) as folder:
        (folder / "a").write_text(content)
        if interrupt is not None:
            raise interrupt


def tree(path: Path) -> dict[str, str | None]:
    """Everything below a folder, with the content of files."""
    return {
        entry.relative_to(path).as_posix(): entry.read_text() if entry.is_file() else None
        for entry in path.rglob("*")
    }


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_replaced_and_what_is_not_ours_is_kept(
    exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    path = tmp_path / "parent" / "folder"
    write(path, "1")
    assert tree(tmp_path) == {"parent": None, "parent/folder": None, "parent/folder/a": "1"}
    (path / "b").mkdir()
    (path / "b" / "x").write_text("old")
    (path / "own").mkdir()
    (path / "own" / "y").write_text("kept")
    (path / "link").symlink_to("nowhere")
    (path / ".a.12345678").write_text("half")
    path.chmod(0o750)
    for error in (ValueError, KeyboardInterrupt, UserError):
        before = tree(tmp_path)
        with pytest.raises(error):
            write(path, "2", error)
        assert tree(tmp_path) == before
    write(path, "2")
    assert tree(path) == {"a": "2", "own": None, "own/y": "kept", "link": None}
    assert path.stat().st_mode & 0o777 == 0o750
    assert [entry.name for entry in path.parent.iterdir()] == ["folder"]


def test_what_failed_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write(tmp_path / "a" / "b", "1", ValueError)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is not a folder"):
        write(tmp_path / "file", "1")


def test_leftovers_are_removed_but_for_what_is_not_ours_and_what_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    write(path, "1")
    (path / "own").write_text("newer")
    for name in (
        ".folder.new-11111111",
        ".folder.old-22222222",
        ".folder.new-33333333",
        ".other.new-44444444",
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("half")
    (tmp_path / ".folder.old-22222222" / "own").write_text("older")
    (tmp_path / ".folder.old-22222222" / "mine").write_text("mine")
    (tmp_path / ".folder.new-55555555").symlink_to(path)
    with locked_folder(tmp_path / ".folder.new-33333333", "test"):
        write(path, "2")
    assert tree(path) == {"a": "2", "own": "newer", "mine": "mine"}
    assert {entry.name for entry in tmp_path.iterdir()} == {
        "folder",
        ".folder.old-22222222",  # a file of the user's that has no other place
        ".folder.new-33333333",
        ".other.new-44444444",
        ".folder.new-55555555",
    }
    assert tree(tmp_path / ".folder.old-22222222") == {"own": "older"}


def test_a_folder_that_another_program_replaced_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    write(path, "1")
    with pytest.raises(UserError, match="replaced by another program"), replaced_folder(path, "test", OURS):
        path.rename(tmp_path / "away")
        path.mkdir()
        (path / "a").write_text("theirs")
    assert tree(tmp_path) == {"folder": None, "folder/a": "theirs", "away": None, "away/a": "1"}


def test_everything_is_on_the_disk_before_the_folders_change_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    swap = folders._swap

    def watched(new: Path, target: Path) -> Path:
        events.append("swap")
        return swap(new, target)

    monkeypatch.setattr(folders, "synchronize", lambda path: events.append(path.name))
    monkeypatch.setattr(folders, "_swap", watched)
    with replaced_folder(tmp_path / "folder", "test", OURS) as folder:
        (folder / "b").mkdir()
        (folder / "b" / "x").touch()
        (folder / "a").touch()
    assert set(events[: events.index("swap")]) == {"a", "x", "b", folder.name}
    assert events[events.index("swap") + 1 :] == [tmp_path.name]
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
