"""Memory that does not suffice ends a command in one line, and is not taken for something else."""

import resource

import pytest

from kdjax import cli, memory
from kdjax.errors import InputError


def chained(inner, outer):
    """`outer` as `raise outer from inner` leaves it."""
    outer.__cause__ = inner
    return outer


LACKING = [
    MemoryError(),
    OSError(12, "Cannot allocate memory"),
    ImportError("libonnx.so: failed to map segment from shared object"),
    RuntimeError("can't start new thread"),
    RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4096 bytes."),
    chained(MemoryError("Unable to allocate 8. GiB"), InputError("a.hea: cannot be read")),
    chained(RuntimeError("can't start new thread"), InputError("the data is damaged; delete it")),
]


@pytest.mark.parametrize("error", LACKING, ids=lambda error: type(error).__name__)
def test_a_command_says_so_in_one_line(monkeypatch, capsys, error):
    """Whatever a library raises, also where a reader has taken it for a damaged file."""

    def fail(_):
        raise error

    monkeypatch.setitem(cli._COMMANDS, "review", fail)
    assert cli.main(["review", "folder"]) == 2
    assert capsys.readouterr().err == f"kdjax review: {memory.LACKING}\n"


def test_other_errors_are_not_taken_for_it(monkeypatch):
    def fail(_):
        raise RuntimeError("a defect")

    monkeypatch.setitem(cli._COMMANDS, "review", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        cli.main(["review", "folder"])
    assert not memory.lacks(InputError("a.hea: no such file"))
    full = "RESOURCE_EXHAUSTED: Failed to write: No space left on device [os_error_code='28']"
    assert not memory.lacks(chained(ValueError(full), OSError(28, "No space left on device")))


def test_what_a_reader_has_said_itself_stands():
    assert not memory.lacks(InputError("std::bad_alloc.csv: no such file"))
    refusal = InputError("x.npz: too large for the memory; prepare fewer windows")
    refusal.__context__, refusal.__suppress_context__ = MemoryError(), True  # raised from None
    assert not memory.lacks(refusal)


def test_a_limit_is_seen_beforehand(monkeypatch, capsys):
    """Libraries abort within a limit that is too low, and then nobody can say anything."""
    monkeypatch.setitem(cli._COMMANDS, "train", lambda _: pytest.fail("begun"))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_300_000_000, -1))
    assert cli.main(["train", "teacher"]) == 2
    said = capsys.readouterr().err
    assert "a limit of 1.3 GB of address space is set, 4 GB are needed" in said
    assert said.count("\n") == 1
    monkeypatch.setattr(resource, "getrlimit", lambda _: (3_970_000_000, -1))
    with pytest.raises(InputError, match=r"a limit of 3\.97 GB .* 4 GB are needed"):
        memory.check_limit("train")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, -1))
    memory.check_limit("train")
