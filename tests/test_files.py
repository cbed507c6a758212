"""What is written is what is read: seals in JSON, SHA256SUMS beside files."""

import builtins
import errno
import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from shutil import which

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax import files
from kdjax.errors import InputError
from kdjax.files import (
    changed_files,
    check_folder,
    is_whole,
    make_folder,
    new_folder,
    read_json,
    read_sealed,
    sha256,
    with_seal,
    write_files,
    write_json,
    write_sealed,
    write_sums,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)  # fmt: skip
objects = st.dictionaries(st.text(max_size=6), values, max_size=5)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.bin").write_bytes(bytes(range(256)))
    (tmp_path / "inner" / "b.json").write_text('{"leads": ["MLII"]}')
    write_sums(tmp_path)
    return tmp_path


class TestSeal:
    @given(objects)
    @settings(deadline=None)
    def test_survives_json_and_keeps_the_rest(self, value):
        read = json.loads(json.dumps(with_seal(value)))
        assert is_whole(read)
        assert {name: read[name] for name in value} == value
        assert with_seal(read) == read

    @given(objects, st.data())
    @settings(deadline=None)
    def test_any_flipped_bit_is_noticed_or_without_effect(self, value, data):
        whole = with_seal(value)
        text = bytearray(json.dumps(whole).encode())
        text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        try:
            read = json.loads(text)
        except ValueError:
            return
        if isinstance(read, dict) and is_whole(read):
            assert read == whole

    def test_a_number_that_has_become_infinite_is_not_what_was_sealed(self):
        """As 1e+308 does when a bit of its exponent flips."""
        assert not is_whole(with_seal({"score": 1.0}) | {"score": float("inf")})

    def test_another_value_has_another_seal(self):
        sealed = with_seal({"threshold": 0.125})
        assert not is_whole(sealed | {"threshold": 0.126})
        assert not is_whole({"threshold": 0.125})


class TestSums:
    def test_are_those_of_sha256sum(self, folder):
        assert changed_files(folder) is None
        lines = (folder / "SHA256SUMS").read_text().splitlines()
        assert [line.split("  ")[1] for line in lines] == ["a.bin", "inner/b.json"]
        assert lines[0].split()[0] == sha256(folder / "a.bin")
        if which("sha256sum"):
            subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=True)

    @pytest.mark.parametrize("name", ["a.bin", "inner/b.json", "SHA256SUMS"])
    def test_notice_every_flipped_bit(self, folder, name):
        whole = (folder / name).read_bytes()
        for place in range(len(whole)):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << place % 8
            (folder / name).write_bytes(flipped)
            found = changed_files(folder)
            assert found is not None, place
            assert name == "SHA256SUMS" or found == name
        (folder / name).write_bytes(whole)
        assert changed_files(folder) is None

    def test_notice_a_file_that_is_missing_or_too_many(self, folder):
        (folder / "more").touch()
        assert changed_files(folder) == "more"
        (folder / "more").unlink()
        (folder / "a.bin").unlink()
        assert changed_files(folder) == "a.bin"

    def test_a_folder_without_them_is_taken_as_it_is(self, folder):
        (folder / "SHA256SUMS").unlink()
        (folder / "a.bin").write_bytes(b"")
        assert changed_files(folder) is None


class TestWriting:
    @pytest.fixture
    def calls(self, monkeypatch):
        """What is flushed and renamed, in order, by the names of files and folders."""
        calls, opened = [], {}
        flush, rename, open_ = os.fsync, os.replace, os.open

        def opening(path, *args, **kwargs):
            descriptor = open_(path, *args, **kwargs)
            opened[descriptor] = Path(os.fsdecode(path)).name
            return descriptor

        def flushing(descriptor):
            calls.append(("flush", opened[descriptor]))
            flush(descriptor)

        def renaming(old, new):
            calls.append(("rename", Path(new).name))
            rename(old, new)

        monkeypatch.setattr(os, "open", opening)
        monkeypatch.setattr(os, "fsync", flushing)
        monkeypatch.setattr(os, "replace", renaming)
        return calls

    def test_files_are_on_the_disk_before_the_first_takes_its_place(self, tmp_path, calls):
        folder = tmp_path / "new"
        write_files({folder / "a": b"1", folder / "b": b"2"})
        assert calls[0] == ("flush", tmp_path.name)  # which holds the new folder's name
        assert [what for what, _ in calls[1:]] == ["flush", "flush", "rename", "rename", "flush"]
        assert calls[3:] == [("rename", "a"), ("rename", "b"), ("flush", "new")]
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == {"a": b"1", "b": b"2"}

    def test_a_folder_is_on_the_disk_before_it_takes_its_place(self, tmp_path, calls):
        with new_folder(tmp_path / "step") as folder:
            (folder / "model").mkdir()
            (folder / "model" / "w").write_bytes(b"1")
        last = calls.index(("rename", "step"))
        assert {"model", "w", "step.unfinished"} == {name for _, name in calls[:last]}
        assert calls[last + 1 :] == [("flush", tmp_path.name)]

    def test_every_new_folder_s_name_is_on_the_disk(self, tmp_path, calls):
        make_folder(tmp_path / "a" / "b" / "c")
        assert sorted(calls) == [("flush", name) for name in sorted(("b", "a", tmp_path.name))]
        make_folder(tmp_path / "a" / "b" / "c")
        assert len(calls) == 3

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
    def test_what_fails_leaves_what_was_there(self, tmp_path, monkeypatch, error):
        write_files({tmp_path / "a": b"old", tmp_path / "b": b"old"})
        with new_folder(tmp_path / "step") as folder:
            (folder / "w").write_bytes(b"old")
        write = Path.write_bytes

        def failing(path, content):
            if path.name.startswith(("b", "w")):
                write(path, content[:1])
                raise error
            return write(path, content)

        monkeypatch.setattr(Path, "write_bytes", failing)
        with pytest.raises(type(error)):
            write_files({tmp_path / "a": b"new", tmp_path / "b": b"new"})
        with pytest.raises(type(error)), new_folder(tmp_path / "step") as folder:
            (folder / "w").write_bytes(b"new")
        assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", "step", "w"]
        assert {p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == {b"old"}

    def test_a_full_disk_names_the_file(self, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space") as caught:
            write_files({tmp_path / "a": b"new"})
        assert caught.value.filename == str(tmp_path / "a")


class TestPlainFiles:
    def test_json_comes_back(self, tmp_path):
        write_json(tmp_path / "new" / "a.json", {"auc": 0.9, "none": None})
        assert read_json(tmp_path / "new" / "a.json") == {"auc": 0.9, "none": None}

    def test_a_write_that_fails_leaves_the_old_file(self, tmp_path, monkeypatch):
        path = tmp_path / "a.json"
        write_json(path, 1)
        with pytest.raises(ValueError, match="JSON"):
            write_json(path, float("nan"))

        def killed(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_json(path, 2)
        assert read_json(path) == 1

    @pytest.mark.parametrize(
        ("damage", "reason"),
        [
            (b"", "line 1 is not JSON"),
            (b"{\n 1", "line 2 is not JSON"),
            (b"\xff\xfe", "not text in UTF-8"),
            (b"NaN]", "line 1 is not JSON"),
            (b"[" * 100_000, "nested too deeply"),
        ],
    )
    def test_what_is_no_json_is_said_in_one_line(self, tmp_path, damage, reason):
        path = tmp_path / "a.json"
        path.write_bytes(damage)
        with pytest.raises(InputError) as caught:
            read_json(path, "copy it again")
        assert str(caught.value) == f"{path}: cannot be read ({reason}); copy it again"

    def test_a_missing_file_asks_whether_this_is_a_run(self, tmp_path):
        with pytest.raises(InputError, match=r"is .* a run directory"):
            read_json(tmp_path / "config.json")

    def test_a_seal_is_read_back_and_missed(self, tmp_path):
        path = tmp_path / "a.json"
        sealed = write_sealed(path, {"auc": 0.9})
        assert read_sealed(path) == sealed
        for value in ({"auc": 0.9}, ["auc"]):
            write_json(path, value)
            with pytest.raises(InputError, match="not what was written; make it anew"):
                read_sealed(path, "make it anew")


class TestCheckFolder:
    def test_passes_one_that_can_be_made_and_makes_nothing(self, tmp_path):
        check_folder(tmp_path / "a" / "b")
        assert not list(tmp_path.iterdir())

    def test_refuses_a_file_in_its_place(self, tmp_path):
        (tmp_path / "a").touch()
        with pytest.raises(InputError, match=r"a: is a file, not a folder; choose another"):
            check_folder(tmp_path / "a" / "b")

    def test_refuses_a_link_to_nothing(self, tmp_path):
        (tmp_path / "a").symlink_to("a")
        with pytest.raises(InputError, match=r"a: is a link to nothing; remove it or choose"):
            check_folder(tmp_path / "a" / "b")

    def test_refuses_a_folder_that_may_only_be_read(self, tmp_path, monkeypatch):
        asked = []
        monkeypatch.setattr(os, "access", lambda path, _: asked.append(path))
        with pytest.raises(InputError, match=f"{tmp_path}: is not writable; choose another"):
            check_folder(tmp_path / "a")
        assert asked == [tmp_path]


class TestUnfinished:
    def test_a_temporary_folder_goes_with_its_owner_or_with_the_process(self):
        class Owner:
            pass

        first, second = Owner(), Owner()
        folders = [files.temporary_folder(owner) for owner in (first, second)]
        for folder in folders:
            (folder / "w").touch()
        del first
        assert [folder.exists() for folder in folders] == [False, True]
        files.discard_unfinished()
        assert not folders[1].exists()

    def test_what_is_being_written_is_discarded(self, tmp_path):
        """As a signal has it done."""
        with new_folder(tmp_path / "step") as folder:
            (folder / "w").touch()
            files.discard_unfinished()
            assert not folder.exists()
            folder.mkdir()

    def test_what_another_thread_has_just_written_into_is_removed_again(
        self, tmp_path, monkeypatch
    ):
        remove, left = shutil.rmtree, [None, None]

        def half(path, **kwargs):
            remove(path, **kwargs)
            if left:
                left.pop()
                path.mkdir()

        monkeypatch.setattr(shutil, "rmtree", half)
        (tmp_path / "step").mkdir()
        files._remove(tmp_path / "step")
        assert (left, list(tmp_path.iterdir())) == ([], [])

    def test_what_never_vanishes_is_given_up(self, tmp_path, monkeypatch):
        monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
        monkeypatch.setattr(files, "_PAUSE", 0)
        files._remove(tmp_path)
        assert tmp_path.exists()

    def test_a_file_system_that_flushes_no_folders_is_written_all_the_same(
        self, tmp_path, monkeypatch
    ):
        def refuse(_):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        monkeypatch.setattr(os, "fsync", refuse)
        write_files({tmp_path / "a": b"1"})
        assert (tmp_path / "a").read_bytes() == b"1"


# --- every call that can fail ------------------------------------------------------------------

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)


class FailingCalls:
    """Lets the n-th call fail among those that Python makes to the disk below a folder."""

    def __init__(self, patch, folder, failing, error):
        self.folder, self.failing, self.error, self.calls = str(folder), failing, error, 0
        for holder, name in (
            (os, "open"),
            (os, "mkdir"),
            (os, "replace"),
            (os, "fsync"),
            (io, "open"),
            (builtins, "open"),
        ):
            patch.setattr(holder, name, self.wrapped(getattr(holder, name)))

    def wrapped(self, call):
        def calling(first, *args, **kwargs):
            # A descriptor is one of a file that was opened there.
            if isinstance(first, int) or str(first).startswith(self.folder):
                self.calls += 1
                if self.calls == self.failing:
                    raise OSError(self.error, os.strerror(self.error), str(first))
            return call(first, *args, **kwargs)

        return calling


def write_two_files(folder):
    write_files({folder / "a": b"new", folder / "b": b"new"})


def write_a_folder(folder):
    with new_folder(folder / "step") as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "w").write_bytes(b"new")


@pytest.mark.parametrize("work", [write_two_files, write_a_folder])
def test_whichever_call_fails_files_are_old_or_new_and_nothing_is_left_over(tmp_path, work):
    """The error names the place, and the same again succeeds."""
    errors = []
    for failing in range(1, 60):
        folder = tmp_path / str(failing)
        work(folder)
        whole = contents(folder)
        old = dict.fromkeys(whole, b"old")
        for name, content in old.items():
            (folder / name).write_bytes(content)
        with pytest.MonkeyPatch.context() as patch:
            calls = FailingCalls(patch, folder, failing, ERRORS[failing % len(ERRORS)])
            try:
                work(folder)
            except OSError as error:
                errors.append((error.errno == calls.error, str(folder) in error.filename))
        now = contents(folder)
        if work is write_a_folder:  # its old content goes before the new one comes
            assert now in (old, whole, {})
        else:
            assert now.keys() == whole.keys()
            assert set(now.values()) <= {b"old", b"new"}
        work(folder)
        assert contents(folder) == whole
        if calls.calls < failing:
            break
    assert set(errors) == {(True, True)}
    assert failing > len(errors) >= 7  # to make a folder that is there already costs nothing


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
