"""What README and the guides show works as it stands there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import wfdb

from benchmarks.pages.evaluations import EVALUATED
from benchmarks.shared import bracket, read, signed
from kdjax import arguments, cli
from kdjax.datasets.synthetic_beats import generator

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs/guides").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)

# Commands that are no kdjax: why no test runs them.
NOT_RUN = {
    "python -m venv": "CI makes its own environment",
    "pip install": "CI installs the package before the tests",
    "pytest": "these are the tests",
    "ruff": "CI runs it",
    "pyright": "CI runs it",
    "mkdocs": "CI builds the site",
    "nox": "needs other interpreters",
    "tensorboard": "a server",
    "srun": "needs a cluster",
    "make": "run by the tests of the library in C",
    "./": "run by the tests of the library in C",
    "cd ": "only changes the folder",
    "python -m benchmarks": "hours",
    "python -m tests": "draws the architecture",
    "python -c": "run below",
    "mv ": "moves a file",
    "bxb": "needs the WFDB Software Package",
    "curl": "the network",
    "unzip": "unpacks what was downloaded",
}
# Which tests run the Python blocks of a page.
RUN = {
    "export.md": "tests/runs/test_export.py",
    "own_windows.md": "tests/datasets/test_own_windows.py",
    "README.md": "below",
    "ec57.md": "below",
    "recordings.md": "below",
}


def blocks(language):
    """(page, block) of every fenced block of a language."""
    return [
        (page, block)
        for page in PAGES
        for found, block in BLOCK.findall(page.read_text(encoding="utf-8"))
        if found == language
    ]


def commands():
    """(page, command) of every command line, comments and continuations resolved."""
    for page, block in blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s&&\s", line):
                words = shlex.split(part, comments=True)
                if words and not part.startswith("#"):
                    yield page, words


@pytest.mark.parametrize(
    ("page", "words"), [pytest.param(p, w, id=f"{p.name}: {' '.join(w)}") for p, w in commands()]
)
def test_every_command_is_one_that_the_parser_takes_or_is_listed_as_not_run(page, words):
    line = " ".join(words)
    if words[0] == ".":
        return
    if words[0] == "kdjax":
        arguments.parser().parse_args(words[1:])
    elif words[:2] == ["python", "train.py"]:
        arguments.parser().parse_args(["train", *arguments.of_flags(words[2:])])
    else:
        assert any(line.startswith(known) for known in NOT_RUN), line


def test_every_python_block_is_run():
    assert {page.name for page, _ in blocks("python")} == set(RUN)


def test_the_python_of_the_readme_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    ((_, code),) = [found for found in blocks("python") if found[0].name == "README.md"]
    signal = generator.recording(1).signal
    np.savetxt(tmp_path / "my_record.csv", signal, fmt="%.4f")
    monkeypatch.chdir(tmp_path)
    names = {"electrode": np.array_split(signal, 200)}
    exec(code, names)
    detection, rest = names["detection"], names["beats"]
    assert "family" in capsys.readouterr().out
    np.testing.assert_array_equal(rest.sample, detection.beats.sample[-len(rest.sample) :])


def test_the_recording_that_the_readme_simulates_is_one(tmp_path, monkeypatch):
    ((_, words),) = [found for found in commands() if found[1][:2] == ["python", "-c"]]
    monkeypatch.chdir(tmp_path)
    exec(words[2], {})
    (detect,) = [words for _, words in commands() if "demo.npy" in words]
    assert cli.main(detect[1:]) == 0
    assert Path("detections/demo/report.html").is_file()


def test_the_python_of_the_guide_to_recordings_runs_as_it_stands(capsys):
    ((_, code),) = [found for found in blocks("python") if found[0].name == "recordings.md"]
    signal = np.concatenate([generator.recording(index).signal[:, 0] for index in (1, 1)])
    exec(code, names := {"electrode": np.split(signal[: 370 * 360], [350 * 360])})
    printed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d+\.\d\d s: ([NSV]|not scored)", printed[-1])
    assert float(printed[-1].split()[0]) > 365
    assert len(names["soon"].sample) > 5


def test_the_measures_of_heart_rate_variability_are_of_successive_normal_intervals(
    tmp_path, monkeypatch
):
    page = (ROOT / "docs/reference/files.md").read_text(encoding="utf-8")
    (code,) = [block for language, block in BLOCK.findall(page) if "rmssd" in block]
    table = "time_s,interval_s,kind,nn\n1,1,N,0\n2,1,N,1\n3.1,1.1,N,1\n3.6,0.5,S,0\n4.8,1.2,N,0\n"
    (tmp_path / "detections/my_record").mkdir(parents=True)
    (tmp_path / "detections/my_record/rr.csv").write_text(table + "5.9,1.1,N,1\n7.1,1.2,N,1\n")
    monkeypatch.chdir(tmp_path)
    exec(code, names := {})
    assert names["sdnn"] == pytest.approx(1000 * np.std([1, 1.1, 1.1, 1.2], ddof=1))
    assert names["rmssd"] == pytest.approx(100)


def test_the_python_of_the_guide_to_ec57_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    ((_, code),) = [found for found in blocks("python") if found[0].name == "ec57.md"]
    (tmp_path / "mitdb").mkdir()
    monkeypatch.chdir(tmp_path / "mitdb")
    sample = np.arange(1, 700) * 300
    wfdb.wrsamp(
        "100",
        360,
        ["mV"],
        ["MLII"],
        p_signal=np.zeros((210_000, 1)),
        fmt=["16"],
        adc_gain=[200.0],
        baseline=[0],
    )
    wfdb.wrann("100", "atr", sample, symbol=["N"] * len(sample))
    monkeypatch.chdir(tmp_path)
    exec(code, {"r_peaks": sample, "symbols": np.full(len(sample), "N")})
    assert capsys.readouterr().out.startswith("100")


def test_the_figures_of_the_readme_are_those_of_the_committed_results():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    kinds = read("kinds.json")
    row = next(r for r in kinds["kinds"] if r["people"] == "DS2")
    assert row["weights"] == "shipped"
    network = next(r for r in kinds["network"] if r["people"] == "DS2")
    alarms, found = network["false_alarms_per_hour"], network["S Se"]
    ds1 = next(r for r in kinds["network"] if r["people"] == "DS1")
    matched = ds1["false_alarms_per_hour"]["ci95"]
    ten = next(r for r in kinds["reviewer"] if (r["people"], r["decisions"]) == ("DS2", 10))
    auc = {
        (row["form"], row["map"]): row["auc"]
        for row in read("headline.json")["rows"]
        if row["score"] == "fusion, first_5_minutes"
    }
    fibrillation = next(r for r in kinds["fibrillation"] if r["people"] == "DS2")
    both = auc["network", "aami"]["mean"], auc["no network", "aami"]
    own = [read(f"mitbih-{name}.json") for name in ("teacher", "student")]
    teacher, student = (result["auc"] for result in own)
    longer, pupil, alone = (
        read(f"long-32-50-{name}.json") for name in ("teacher", "response", "alone")
    )
    assert round(sum(100 * result["epoch_seconds"] for result in own) / 3600) == 7
    peaks = read("rpeaks.json")["gross"]["kdjax, DS2"]

    def rate(name):
        return f"{row[name]:.1f} % {bracket(row['ci95'][name], 1)}"

    for wanted in (
        f"R-peaks | Se {100 * peaks['se']:.2f} %, +P {100 * peaks['p']:.2f} %; "
        f"{peaks['ventricular_missed']} of {peaks['ventricular']:,} ventricular beats missed",
        f"ventricular beats | Se {rate('V Se')}, +P {rate('V +P')}",
        f"supraventricular beats | Se {rate('S Se')}, +P {rate('S +P')}; one person has "
        f"{max(one['S'] for one in kinds['records']):,} of the {row['S']:,}",
        f"{row['false_alarms_per_hour']:.0f} an hour "
        f"{bracket(row['ci95']['false_alarms_per_hour'], 0)}; "
        f"{100 * row['normal_flagged']:.1f} % of all normal beats, "
        f"{100 * row['worst_person_normal_flagged']:.0f} % of those of the worst person",
        f"ventricular Se {ten['V Se']:.1f} %, +P {ten['V +P']:.1f} %; "
        f"supraventricular Se {ten['S Se']:.1f} %, +P {ten['S +P']:.1f} %; "
        f"{ten['false_alarms_per_hour']:.0f} false alarms an hour",
        f"false alarms from {row['false_alarms_per_hour']:.0f} to "
        f"{ten['false_alarms_per_hour']:.0f} an hour (a simulated reviewer, on the test half of "
        "MIT-BIH)",
        f"{-alarms['mean']:.0f} fewer false alarms an hour on DS2 than without it, at thresholds "
        "that give equally many on DS1, but finds "
        f"{-found['mean']:.1f} points fewer of the supraventricular beats",
        "only to within {:.0f} to {:+.0f} false alarms an hour".format(*matched),
        f"over all beats, is not shown ({signed(network['auc'], 3)})",
        f"AUC of {auc['network', 'beatgan']['mean']:.3f} with the network and "
        f"{auc['no network', 'beatgan']:.3f} with the raw beat in its place",
        *(f"{value:.3f} for both (AAMI's" for value in both),
        f"AUC of {teacher:.3f} with the teacher and {student:.3f} with the student; "
        f"after {longer['epochs']} epochs, from another seed, {longer['auc']:.3f} and "
        f"{pupil['auc']:.3f}, and {alone['auc']:.3f} with the student trained alone",
        f"{fibrillation['Se']:.0f} % of the time in them; {fibrillation['+P']:.0f} % of the marked",
        "100 epochs each: about seven hours on two cores",
        f"its {EVALUATED} evaluations changed",
    ):
        assert wanted in text, wanted
