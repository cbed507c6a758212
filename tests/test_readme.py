"""What README shows of the library runs as it stands there."""

import re
from pathlib import Path

import numpy as np

from kdjax.datasets.synthetic_beats import generator

README = Path(__file__).parent.parent / "README.md"


def test_a_recording_and_a_live_signal_in_ten_lines(tmp_path, monkeypatch, capsys):
    (code,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
        if "kdjax.detect(" in block
    ]
    assert len([line for line in code.splitlines() if line]) <= 10
    signal = generator.recording(0).signal
    np.savetxt(tmp_path / "my_record.csv", signal, fmt="%.4f")
    monkeypatch.chdir(tmp_path)
    names = {"electrode": np.array_split(signal, 200)}
    exec(code, names)
    found, rest = names["found"], names["beats"]
    assert capsys.readouterr().out.startswith("[")
    np.testing.assert_array_equal(rest.sample, found.beats.sample[-len(rest.sample) :])
