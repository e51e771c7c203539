"""Checks the wheel in a folder: it has each file of the package, and it can be imported with numpy alone.

python .ci/check_wheel.py FOLDER
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

NOT_PACKAGED = {"tests", "benchmarks", "docs", "examples", "notebooks"}
"""Folders of the repository that are not part of the package."""


def tracked() -> set[str]:
    """The tracked files that the package must have: all in its folders, and the modules of its root."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    paths = [Path(line) for line in listed.stdout.splitlines()]
    return {
        str(path)
        for path in paths
        if (len(path.parts) > 1 or path.suffix in (".py", ".typed"))
        and path.parts[0] not in NOT_PACKAGED
        and not path.parts[0].startswith(".")
    }


def main(folder: Path) -> int:
    """Prints what is missing; 1 if something is."""
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name.removeprefix("narrowgauge/") for name in archive.namelist()}
    missing = sorted(tracked() - packed)
    for name in missing:
        print(f"{wheel.name} lacks {name}: add it to [tool.setuptools.package-data] in pyproject.toml")
    with tempfile.TemporaryDirectory() as place:
        venv.create(place, with_pip=True)
        python = Path(place) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", wheel.resolve()], check=True)
        for command in (
            ["-c", "import narrowgauge, narrowgauge.text, narrowgauge.hw.host"],
            ["-m", "narrowgauge.cli", "--version"],
        ):
            subprocess.run([python, *command], cwd=place, check=True)
    print(f"{wheel.name}: {len(tracked())} files")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
