"""The experiments on reliability: what is tried, and what a simulated power failure leaves."""

import errno
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.robustness import disk, failing, power, reliability, runs, signals

CALLS = {
    "a whole run": Counter({"write /a": 3, "fsync /a": 1}),
    "a resumed run": Counter({"write /a": 1, "mkdir /b": 2}),
}


class TestFailing:
    def test_every_kind_fails_with_every_error_that_it_can_have(self):
        tries = failing.one_of_each(CALLS, 0)
        three = {errno.ENOSPC, errno.EIO, errno.EACCES}
        wanted = {
            "write /a": three | {failing.SHORT, failing.FULL},
            "fsync /a": three,
            "mkdir /b": three | {failing.FULL},
        }
        assert {(t[1], t[3]) for t in tries} == {(k, e) for k, of in wanted.items() for e in of}
        assert all(place < CALLS[life][kind] for life, kind, place, _ in tries)
        assert {kind for _, kind, _, _ in tries[:3]} == set(wanted), "each comes before it repeats"

    def test_the_others_are_all_calls(self):
        tries = failing.others(CALLS, failing.random.Random(0))
        assert Counter((life, kind) for life, kind, _, _ in tries) == Counter(
            {(life, kind): n for life, of in CALLS.items() for kind, n in of.items()}
        )

    def test_what_differs_is_named_but_for_an_oracle_that_is_said_to_be_missing(self):
        wanted = {"result.json": {"auc": 0.9, "oracle": {"auc": 0.95}}}
        lost = {"result.json": {"auc": 0.9, "oracle": {"auc": None, "note": "damaged"}}}
        assert failing.compared("went on", wanted, wanted) == "went on"
        assert failing.compared("went on", wanted, lost) == "went on without the oracle, said"
        lost["result.json"]["auc"] = 0.8
        assert failing.compared("one line", wanted, lost).startswith("ended otherwise: [")


class TestPower:
    def entries(self, top):
        return [
            ("mkdir", 0, 0, f"{top}/run", b""),
            ("open", 1, 0, f"{top}/run/a", b""),
            ("write", 1, 0, f"{top}/run/a", b"old"),
            ("fsync", 1, 0, f"{top}/run/a", b""),
            ("write", 1, 3, f"{top}/run/a", b" new"),
            ("open", 2, 0, f"{top}/run/b", b""),
            ("rename", 0, 0, f"{top}/run/b", f"{top}/run/c".encode()),
        ]

    def test_what_was_not_flushed_is_not_there(self, tmp_path):
        memory, saved = power.replayed(Path("/top"), self.entries("/top"))
        memory.write(memory.root, tmp_path / "strict", names_survive=False)
        assert not list((tmp_path / "strict").iterdir()), "the folder's name was never flushed"
        memory.write(memory.root, tmp_path / "names", names_survive=True)
        run = tmp_path / "names" / "run"
        assert {p.name: p.read_bytes() for p in run.iterdir()} == {"a": b"old", "c": b""}
        assert saved == 0

    def test_a_flushed_folder_has_the_names_of_that_moment(self, tmp_path):
        flushed = [
            *self.entries("/top"),
            ("look", 3, 0, "/top", b""),
            ("fsync", 3, 0, "/top", b""),
            ("remove", 0, 0, "/top/run/a", b""),
        ]
        memory, _ = power.replayed(Path("/top"), flushed)
        memory.write(memory.root, tmp_path / "strict", names_survive=False)
        assert [p.name for p in tmp_path.rglob("*")] == ["strict", "run"]


class Finished:
    """A process that has printed its lines and ended, or that goes on until it is signalled."""

    def __init__(self, workdir, status, lines=()):
        self.workdir, self.status, self.lines = workdir, status, list(lines)
        self.process = self

    def ended(self):
        return self.status is not None

    def wait_for(self, pattern, times=1, within=0.0):
        return sum(line.startswith(str(pattern).lstrip("^")) for line in self.lines) >= times

    def send_signal(self, signum):
        self.status = 128 + signum

    def kill(self):
        self.status = -signal.SIGKILL if self.status is None else self.status

    def finish(self):
        return self.status


class TestSignals:
    @pytest.mark.parametrize(
        ("stage", "status", "lines", "signalled", "strange"),
        [
            ("steps", None, ["Epoch: 1"], True, ""),
            ("steps", None, ["Epoch: 1", "Epoch: 2"], False, ""),
            ("steps", 2, ["Epoch: 1"], False, "ended by itself with status 2"),
            ("steps", 0, ["Epoch: 1"], False, "ended by itself with status 0"),
            ("steps", 2, [], False, "ended by itself with status 2"),
            ("evaluation", 0, ["continues from"], False, ""),
            ("evaluation", 0, [], False, "ended by itself with status 0"),
            ("evaluation", 1, ["continues from"], False, "ended by itself with status 1"),
        ],
    )
    def test_a_run_that_ends_before_its_signal_is_told(
        self, tmp_path, stage, status, lines, signalled, strange
    ):
        begins, ends = {
            "steps": (signals.STEPS, signals.STEPS),
            "evaluation": (signals.RESUMED, None),
        }[stage]
        of = signals.Stage(begins=begins, ends=ends, seconds=0.0)
        process = Finished(tmp_path, status, lines)
        row = signals.send(process, of, signal.SIGTERM, rng=random.Random(0), times=1)
        assert (row["signalled"], row["strange"]) == (signalled, strange)
        assert signals.summary([row | {"stage": stage}], stage)["otherwise"] == bool(strange)


class TestRows:
    def test_go_on_from_those_of_the_same_code(self, tmp_path, monkeypatch):
        from kdjax.runs import provenance

        for code, kept in (("a", []), ("b", []), ("b", [{"n": 1}])):
            monkeypatch.setattr(provenance, "made_by", lambda code=code: {"code": code})
            rows = runs.Rows(tmp_path / "rows.jsonl")
            assert rows.found == kept
            rows.add({"n": 1})

    def test_clocks_are_left_out(self):
        row = {"seconds": 1.0, "a": [{"date": "now", "b": 2}]}
        assert runs.without_clock(row) == {"a": [{"b": 2}]}


@pytest.mark.parametrize(
    ("name", "of_a_step"),
    [("checkpoints/last/7/progress.json", True), ("checkpoints/last/7.unfinished/a", False)],
)
def test_files_of_a_finished_checkpoint_count_by_its_arrays(name, of_a_step):
    assert disk._is_of_a_step(name) == of_a_step


@pytest.mark.long
def test_a_flipped_bit_of_any_file_is_noticed(tmp_path):
    found = reliability.flips(tmp_path, 1, quick=True)
    assert len(found["kinds"]) >= 8
    for kind, counts in found["kinds"].items():
        assert counts["strange"] == [], kind
        assert counts["refused"] > 0, kind
