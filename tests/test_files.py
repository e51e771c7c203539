"""Files are written atomically, and read back or refused in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge import files
from narrowgauge.errors import UserError
from narrowgauge.files import (
    FileEntry,
    check_target,
    fill_template,
    locked_folder,
    parse_json,
    read_json,
    readable_file,
    replace_atomic,
    sha256,
    write_atomic,
    write_json,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)


@given(old=st.binary(), new=st.binary() | st.text(st.characters(exclude_categories=["Cs"])))
def test_a_write_replaces_the_whole_file_and_leaves_nothing_beside_it(old: bytes, new: bytes | str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(old)
        write_atomic(path, new)
        assert path.read_bytes() == (new if isinstance(new, bytes) else new.encode("utf-8"))
        assert [entry.name for entry in Path(folder).iterdir()] == ["file"]


@pytest.mark.parametrize("old", [None, b"old content"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, old: bytes | None, error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)

    def write(temporary: Path) -> None:
        temporary.write_bytes(b"half of the new con")
        raise error

    with pytest.raises(error):
        replace_atomic(path, write)
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == (
        {} if old is None else {"file": old}
    )


def test_a_write_onto_a_folder_fails_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(UserError, match="file is a folder"):
        write_atomic(tmp_path / "file", "text")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link, loose = tmp_path / "there" / "file", tmp_path / "link", tmp_path / "loose"
    target.write_text("old")
    link.symlink_to(target)
    loose.symlink_to(tmp_path / "there" / "later")
    for path in (link, loose):
        write_atomic(path, "new")
        assert path.is_symlink() and path.read_text() == "new"
    assert sorted(p.name for p in (tmp_path / "there").iterdir()) == ["file", "later"]
    assert len(list(tmp_path.iterdir())) == 3


def test_what_is_no_regular_file_is_written_into(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_text()))
    reader.start()
    write_atomic(fifo, "text")
    reader.join(timeout=10)
    assert received == ["text"] and stat.S_ISFIFO(fifo.stat().st_mode)
    write_atomic(Path("/dev/null"), "text")
    with pytest.raises(OSError, match="No space left"):
        write_atomic(Path("/dev/full"), "text" * 10000)
    for device in ("/dev/null", "/dev/full"):
        assert stat.S_ISCHR(Path(device).stat().st_mode)
    assert [entry.name for entry in tmp_path.iterdir()] == ["fifo"]


def test_standard_output_by_its_name_keeps_what_is_in_it(tmp_path: Path) -> None:
    script = """
from pathlib import Path
from narrowgauge.files import write_atomic
print("before", flush=True)
write_atomic(Path("/dev/stdout"), "text\\n")
"""
    for output in (subprocess.PIPE, (tmp_path / "out").open("w+")):
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=output, stderr=subprocess.PIPE, check=True
        )
        text = done.stdout if output is subprocess.PIPE else (tmp_path / "out").read_bytes()
        assert text == b"before\ntext\n"


def test_content_is_on_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(files, "synchronize", lambda path: done.append("folder" if path.is_dir() else "file"))
    replace = Path.replace

    def rename(path: Path, other: Path) -> Path:
        done.append("name")
        return replace(path, other)

    monkeypatch.setattr(Path, "replace", rename)
    write_atomic(tmp_path / "file", "text")
    assert done == ["file", "name", "folder"]


def test_a_library_sees_the_suffix_of_the_file(tmp_path: Path) -> None:
    seen: list[Path] = []
    replace_atomic(tmp_path / "waves.vcd", seen.append)
    assert seen[0].suffix == ".vcd" and seen[0].parent == tmp_path


def test_a_template_is_filled_and_nothing_else_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "script.tcl"
    path.write_text("set part @{part}\nputs $part {%s} ${x} $$ {{}}\n@{lines}\n")
    text = fill_template(path, part="a@b$c", lines="1\n2", unused="")
    assert text == "set part a@b$c\nputs $part {%s} ${x} $$ {{}}\n1\n2\n"
    with pytest.raises(KeyError, match="lines"):
        fill_template(path, part="a")
    path.write_text("user@ host")
    with pytest.raises(ValueError, match="line 1"):
        fill_template(path)


def test_missing_parents_are_made(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b" / "file", "text")
    assert (tmp_path / "a" / "b" / "file").read_text(encoding="utf-8") == "text"


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "ours", "")
        (tmp_path / "plain").touch()
    finally:
        os.umask(old)
    ours, plain = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "plain"))
    assert ours == plain == 0o640


@given(value=JSON)
def test_json_comes_back_as_it_was(value: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "value.json"
        write_json(path, value)
        assert path.read_bytes().endswith(b"\n")
        assert read_json(path) == value


def test_json_may_have_lone_surrogates(tmp_path: Path) -> None:
    """A label in the record of a build may; UTF-8 has no bytes for them."""
    path = tmp_path / "value.json"
    for value in ("\ud800", {"a\udfff": ["\ud8000é\U0001f600\\ud800"]}):
        write_json(path, value)
        assert read_json(path) == value


def test_json_that_cannot_be_encoded_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"old": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "content",
    [None, b"", b'{"cut": [1, 2', b"\xff\xfe\x00", b"{'quotes': 1}", b"[" * 100_000, b"9" * 5_000],
    ids=["missing", "empty", "cut", "no text", "quotes", "deep", "long number"],
)
def test_json_that_is_missing_or_broken_is_told_with_its_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "value.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"value\.json"):
        read_json(path)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_the_checksum_is_that_of_all_bytes(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 99])
def test_the_entry_of_a_file_comes_back_from_json(content: bytes) -> None:
    entry = FileEntry.of(content)
    assert entry.size == len(content) and entry.sha256 == hashlib.sha256(content).hexdigest()
    assert FileEntry.from_json(json.loads(json.dumps(entry.to_json()))) == entry


@pytest.mark.parametrize(
    "change",
    [
        {"bytes": -1},
        {"bytes": True},
        {"bytes": 1.0},
        {"bytes": "1"},
        {"bytes": 1 << 41},
        {"bytes": None},
        {"sha256": "0" * 63},
        {"sha256": "A" * 64},
        {"sha256": 0},
        {"sha256": "0" * 64 + "\n"},
        {"more": 1},
    ],
)
def test_an_entry_that_is_damaged_is_refused(change: dict[str, object]) -> None:
    value = FileEntry.of(b"x").to_json() | change
    with pytest.raises(ValueError, match="must"):
        FileEntry.from_json(value)
    for damaged in ([], None, {}, {"bytes": 1}, [value]):
        with pytest.raises(ValueError, match="must have the keys bytes and sha256"):
            FileEntry.from_json(damaged)


def test_the_checksum_sees_a_changed_bit(tmp_path: Path) -> None:
    content = bytearray(os.urandom(1000))
    (tmp_path / "file").write_bytes(content)
    before = sha256(tmp_path / "file")
    content[500] ^= 1
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") != before


def test_what_is_no_regular_file_or_too_large_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert readable_file(file, 5) == file
    link = tmp_path / "link"
    link.symlink_to(file)
    assert readable_file(link, 5) == link
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(40 << 30)
    for name, words in (("fifo", "a FIFO"), ("", "a folder"), ("sparse", "got 42,949,672,960")):
        with pytest.raises(UserError, match=words) as caught:
            readable_file(tmp_path / name, 1 << 30)
        assert str(caught.value).startswith(str(tmp_path / name))
    for path, words in ((Path("/dev/zero"), "a device"), (file, "at most 4 bytes, got 5")):
        with pytest.raises(UserError, match=words):
            readable_file(path, 4)
    with pytest.raises(FileNotFoundError):
        readable_file(tmp_path / "missing", 5)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("frame", ["{}", "[1, {}]", '{{"a": [{}]}}'])
def test_numbers_that_json_does_not_have_are_refused_on_reading_and_on_writing(
    number: str, frame: str, tmp_path: Path
) -> None:
    path = tmp_path / "value.json"
    path.write_text(frame.format(number))
    with pytest.raises(UserError, match=f"{number} is not a finite number"):
        read_json(path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, [float(number)])
    assert path.read_text() == frame.format(number)


@given(JSON)
def test_what_is_written_is_what_is_parsed(value: object) -> None:
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 1}', '[{"b": {"x": 0, "a": 1, "a": 2}}]', '{"a": 0, "\\u0061": 1}']
)
def test_a_name_twice_in_an_object_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "value.json").write_text(text)
    with pytest.raises(UserError, match="duplicate name 'a'"):
        read_json(tmp_path / "value.json")


HOLDER = """
import sys
from pathlib import Path
from narrowgauge.files import locked_folder
with locked_folder(Path(sys.argv[1]), "training"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_a_folder_has_one_holder_until_that_ends(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a" / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None and holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        for _ in range(2):
            with (
                pytest.raises(UserError, match=f"another training is running in {path}"),
                locked_folder(path, "training"),
            ):
                pytest.fail("two holders")
        assert path.is_dir()
        if end == "kill":
            holder.send_signal(signal.SIGKILL)
        else:
            holder.stdin.close()
    with locked_folder(path, "training"):
        (path / "file").touch()
    assert (path / "file").exists()


def test_a_lock_leaves_no_empty_folder_that_it_made(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for path in (tmp_path / "there", tmp_path / "a" / "b" / "c"):
        with locked_folder(path, "training"):
            assert path.is_dir()
            with pytest.raises(UserError), locked_folder(path, "training"):
                pytest.fail("two holders")
    assert [entry.name for entry in tmp_path.iterdir()] == ["there"]
    with locked_folder(tmp_path / "a" / "b", "training"):
        (tmp_path / "a" / "file").touch()
    assert sorted(str(entry.relative_to(tmp_path)) for entry in tmp_path.rglob("*")) == [
        "a",
        "a/file",
        "there",
    ]
    with pytest.raises(OSError, match="file"), locked_folder(tmp_path / "a" / "file", "training"):
        pytest.fail("a file is no folder")


def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o600)
    write_atomic(path, "new")
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("length", [200, 250, 255])
def test_a_name_may_be_as_long_as_the_file_system_takes(length: int, tmp_path: Path) -> None:
    for suffix in ("", ".json"):
        path = tmp_path / ("x" * (length - len(suffix)) + suffix)
        for content in ("old", "new"):
            write_atomic(path, content)
        assert path.read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no /dev/shm")
def test_a_regular_file_below_dev_is_replaced() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder, "value.json")
        for value in (1, 2):
            write_json(path, value)
        assert read_json(path) == 2


def test_what_is_standard_output_is_written_after_what_was_printed(tmp_path: Path) -> None:
    """By its name in /dev, and by the name of the file that the shell opened for it."""
    code = """
import sys
from pathlib import Path
from narrowgauge.files import write_atomic
print("before")
write_atomic(Path(sys.argv[1]), "written\\n")
print("after")
"""
    file = tmp_path / "file"
    for name in ("/dev/stdout", str(file)):
        with file.open("w") as stream:
            subprocess.run([sys.executable, "-c", code, name], stdout=stream, check=True)
        assert file.read_text() == "before\nwritten\nafter\n"


def test_a_full_disk_is_told_with_the_name_that_was_given(tmp_path: Path) -> None:
    def full(temporary: Path) -> None:
        raise OSError(28, "No space left on device")

    for path in (tmp_path / "file", Path("/dev/full")):
        with pytest.raises(OSError, match="No space left") as caught:
            replace_atomic(path, full) if path.parent == tmp_path else write_atomic(path, "x")
        assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_a_folder_without_the_right_to_write_is_refused_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replacing a file requires write permission for its folder, not for the file."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    for name in ("file", "new", "new/file"):
        with pytest.raises(UserError, match="cannot be written"):
            check_target(tmp_path / name)
    with pytest.raises(UserError, match="cannot be written"):
        check_target(tmp_path / "folder", folder=True)
    check_target(Path(os.devnull))
