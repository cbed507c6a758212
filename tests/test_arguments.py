"""What the parser of the command takes, and what shells complete."""

import shlex
import subprocess

import pytest
import shtab

from kdjax import arguments, cli


@pytest.mark.parametrize(
    "command",
    [
        "detect mitbih-w8 ''",
        "detect mitbih-w8 a.hea --out ''",
        "detect mitbih-w8 a.hea --against=",
        "prepare records --name ''",
        "train student --workdir '' --overwrite",
        "export '' --format c --out c",
    ],
)
def test_an_empty_value_is_not_the_current_folder(capsys, command):
    """It comes of a shell's variable that is not set."""
    with pytest.raises(SystemExit) as left:
        cli.main(shlex.split(command))
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "is empty; give a value" in said


def test_a_shell_completes_commands_and_the_names_of_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holter.csv").touch()
    (tmp_path / "results").mkdir()
    script = shtab.complete(arguments.parser(), "bash")
    for words, expected in (
        ("kdjax det", "detect"),
        ("kdjax detect mitbih-w8 hol", "holter.csv"),
        ("kdjax review res", "results"),
        ("kdjax detect --out res", "results"),
    ):
        asked = f"COMP_WORDS=({words}); COMP_CWORD={words.count(' ')}; COMP_LINE='{words}'"
        program = (
            f"{script}\n{asked}; COMP_POINT={len(words)}; _shtab_kdjax; echo ${{COMPREPLY[@]}}"
        )
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False)
        assert done.stdout.split() == [expected], (words, done.stderr)
