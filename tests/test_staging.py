"""What is being written has another name until it is complete; what a dead process left goes, what a living one writes stays."""

import os
import re
import signal
from pathlib import Path

import pytest

from hepnn import staging
from hepnn.errors import InputError, OutputError, SourceError
from hepnn.staging import keep, part_of, put_back, staged, staged_contents, staged_folder
from tests.crashes import at_step, called_at, content, ended, interrupt, kill, no_room, start, unfinished


def write_file(path):
    with staged(path, overwrite=True) as part:
        part.write_text("new")


def write_folder(path):
    with staged_folder(path, overwrite=True) as part:
        (part / "a").write_text("new")
        (part / "b").write_text("new")


def write_contents(path):
    with staged_contents(path, last="b") as part:
        (part / "pictures").mkdir()
        (part / "pictures" / "a").write_text("new")
        (part / "b").write_text("new")


def write_folder_without_exchange(path):
    staging._exchanged = lambda *_: False
    write_folder(path)


def earlier(path, *, is_folder):
    if is_folder:
        path.mkdir()
        for name in ("a", "b"):
            (path / name).write_text("old")
    else:
        path.write_text("old")
    return content(path.parent)


WAYS = {
    "a file": (write_file, False),
    "a folder": (write_folder, True),
    "a folder, where names cannot be exchanged": (write_folder_without_exchange, True),
}


@pytest.mark.parametrize("way", WAYS)
def test_who_is_killed_at_any_step_leaves_the_old_or_the_new(way, tmp_path):
    write, is_folder = WAYS[way]
    n_lost = 0
    for n in range(1, 30):
        folder = tmp_path / str(n)
        folder.mkdir()
        path = folder / "x.y"
        old = earlier(path, is_folder=is_folder)
        new = dict.fromkeys(old, b"new")
        code = ended(start(called_at, folder, n, kill, write, (path,)))
        if content(folder) == {}:
            n_lost += 1
            put_back(path)
            assert content(folder) == old
        assert content(folder) in (old, new)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        write(path)
        assert content(folder) == new
        assert unfinished(folder) == []
    assert n > 3
    assert n_lost == (1 if write is write_folder_without_exchange else 0)


@pytest.fixture(autouse=True)
def exchange(monkeypatch):
    monkeypatch.setattr(staging, "_exchanged", staging._exchanged)  # given back after each test


@pytest.mark.parametrize("act", [interrupt, no_room], ids=["Ctrl-C", "full disk"])
@pytest.mark.parametrize("way", WAYS)
def test_who_is_stopped_at_any_step_leaves_the_old_or_the_new(way, act, tmp_path):
    write, is_folder = WAYS[way]
    path = tmp_path / "there" / "x.y"
    path.parent.mkdir()
    old = earlier(path, is_folder=is_folder)
    for n in range(1, 30):
        try:
            with at_step(path.parent, n, act, stays=act is no_room) as steps:
                write(path)
        except (KeyboardInterrupt, OutputError):
            assert content(path.parent) in (old, dict.fromkeys(old, b"new"))
        if not steps.reached:
            break
    write(path)
    assert content(path.parent) == dict.fromkeys(old, b"new")
    assert unfinished(path.parent) == []


def test_contents_are_old_or_new_each_and_the_last_is_new_only_with_all(tmp_path):
    for n in range(1, 30):
        folder = tmp_path / str(n)
        (folder / "pictures").mkdir(parents=True)
        for name in ("pictures/a", "b", "notes"):
            (folder / name).write_text("old")
        code = ended(start(called_at, folder, n, kill, write_contents, (folder,)))
        found = content(folder)
        assert found.pop("notes") == b"old"
        assert found["b"] == b"old" or set(found.values()) == {b"new"}
        assert set(found.values()) <= {b"old", b"new"}
        if code == 0:
            break
        write_contents(folder)
        assert content(folder) == {"pictures/a": b"new", "b": b"new", "notes": b"old"}
        assert unfinished(folder) == []
    assert n > 5


@pytest.mark.parametrize("is_folder", [False, True], ids=["file", "folder"])
def test_what_is_being_written_is_left_alone(tmp_path, is_folder):
    path = tmp_path / "scores.root"
    with part_of(path, is_folder=is_folder) as first, part_of(path, is_folder=is_folder) as second:
        assert first.exists()
        assert first != second
    assert list(tmp_path.iterdir()) == []


def test_what_another_target_left_is_left_alone(tmp_path):
    for name in ("b.root", "a", "a.root.root"):
        (tmp_path / f".{name}.{staging._HOST}00000000.part{Path(name).suffix}").touch()
    ours = tmp_path / f".a.root.{staging._HOST}00000000.part.root"
    ours.touch()
    write_file(tmp_path / "a.root")
    assert not ours.exists()
    assert len(unfinished(tmp_path)) == 3


def test_what_another_machine_left_is_removed_after_a_day(tmp_path):
    theirs = tmp_path / ".a.0123456789abcdef.part"
    theirs.touch()
    write_file(tmp_path / "a")
    assert theirs.exists()
    os.utime(theirs, (0, 0))
    write_file(tmp_path / "a")
    assert not theirs.exists()


def test_what_is_kept_stays(tmp_path):
    path = tmp_path / "jets.root"
    with part_of(path) as part:
        part.write_text("hours of work")
        kept = keep(part, path)
    write_file(path)
    assert kept.read_text() == "hours of work"


def test_a_link_to_a_folder_stays_one(tmp_path):
    (tmp_path / "large disk").mkdir()
    (tmp_path / "tagger").symlink_to(tmp_path / "large disk")
    write_folder(tmp_path / "tagger")
    assert (tmp_path / "tagger").is_symlink()
    assert (tmp_path / "large disk" / "a").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large disk", "tagger"]


@pytest.mark.parametrize("kind", [InputError, SourceError])
def test_errors_of_the_input_stay_what_they_are(tmp_path, kind):
    for stage in (staged, staged_folder):
        with pytest.raises(kind, match="nothing of the output"), stage(tmp_path / "x"):
            raise kind("nothing of the output")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_with_what_was_written_and_what_is_free(tmp_path):
    def write():
        with staged(tmp_path / "x") as part:
            part.write_bytes(bytes(2_000_000))
            no_room()

    with pytest.raises(
        OutputError, match=rf"asked to write {re.escape(str(tmp_path))}/x; the disk is full after 2 MB: No"
    ):
        write()
    with pytest.raises(OutputError, match=rf"MB are free in {re.escape(str(tmp_path))}\. What was there before"):
        raise staging.cannot_write(tmp_path / "not" / "there", OSError(28, "No space left on device"))


def test_a_name_as_long_as_the_system_takes_can_be_written_and_tidied_up(tmp_path):
    path = tmp_path / ("x" * 251 + ".txt")
    with staged(path) as part:
        part.write_text("new")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    with part_of(path) as part:
        left = keep(part, path)
    left.rename(left.with_name(left.name.replace(".kept", ".part")))  # as if its process had died
    with staged(path, overwrite=True) as part:
        part.write_text("newer")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(OutputError, match="Choose another name"), staged(tmp_path / ("x" * 300)):
        pass
