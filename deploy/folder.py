"""The part of a build that is copied to a board: the compiled model, test vectors and, once built, the bitstream."""

from __future__ import annotations

from pathlib import Path

from ..files import fill_template
from ..hw.host.build import DEPLOY_FOLDER, ENGINE_FILE, IMAGE_FILE, PROGRAM_FILE, STREAM_FILE, EngineBuild
from ..hw.host.folder import write_engine
from .vectors import VECTORS_FILE, make_vectors, write_vectors

_README = Path(__file__).with_name("templates") / "README.md"


def write_deploy(folder: Path, build: EngineBuild, board: str) -> int:
    """Writes `FOLDER/deploy`, without the bitstream.

    Args:
        folder: of the build.
        build: compiled for the board.
        board: its name, for people.

    Returns:
        The bytes of all files.
    """
    deploy = folder / DEPLOY_FOLDER
    deploy.mkdir(exist_ok=True)
    write_engine(deploy, build)
    write_vectors(deploy, build, make_vectors(build))
    readme = fill_template(_README, board=board)
    (deploy / _README.name).write_text(readme, encoding="utf-8")
    return size_of(folder)


def size_of(folder: Path) -> int:
    """The bytes of what is copied to a board, without the bitstream.

    Args:
        folder: a build, or its part for the board.
    """
    names = (PROGRAM_FILE, IMAGE_FILE, STREAM_FILE, ENGINE_FILE, VECTORS_FILE, _README.name)
    deploy = folder / DEPLOY_FOLDER
    paths = [(deploy if deploy.is_dir() else folder) / name for name in names]
    return sum(path.stat().st_size for path in paths if path.is_file())
