"""Every count and printed rate of bxb, rxr and sumstats; see tests/data/ec57.

`tests/data/ec57` holds six made-up records: `reference.npz` and `annotations.npz` (the annotations
to judge), and what the WFDB programs print of them. KDJAX_EC57_GOLDEN names another folder of that
layout; where it has no reference.npz, KDJAX_EC57_RECORDS names a folder of its .hea and .atr.
"""

import os
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import wfdb

from kdjax import cli, ec57
from kdjax.ec57 import tables
from kdjax.recordings import Annotations, read_annotation_file

MADE_UP = Path(__file__).parents[1] / "data/ec57"
GOLDEN, RECORDS = (os.environ.get(f"KDJAX_EC57_{name}") for name in ("GOLDEN", "RECORDS"))
FOLDERS = [
    MADE_UP,
    pytest.param(
        Path(GOLDEN or "."),
        marks=pytest.mark.skipif(
            not (GOLDEN and RECORDS),
            reason="KDJAX_EC57_GOLDEN and KDJAX_EC57_RECORDS name no golden answers",
        ),
    ),
]


@cache
def golden(folder: Path, start: float = ec57.LEARNING_SECONDS) -> dict[str, ec57.Comparison]:
    """The comparisons of all records."""
    with np.load(folder / "annotations.npz") as stored:
        test = {name: annotations(stored, name) for name in records(stored)}
    if (folder / "reference.npz").exists():
        with np.load(folder / "reference.npz") as stored:
            reference = {name: annotations(stored, name) for name in test}
    else:
        reference = {name: read_annotation_file(real(f"{name}.atr")) for name in test}
    return {
        name: ec57.compare(reference[name], test[name], 360, start=start) for name in sorted(test)
    }


def real(name: str) -> Path:
    return Path(RECORDS or ".") / name


def records(stored) -> list[str]:
    return sorted({key.split("/")[0] for key in stored.files})


def annotations(stored, name: str) -> Annotations:
    return Annotations(*(stored[f"{name}/{column}"] for column in ("sample", "symbol", "subtype")))


def said(folder: Path, name: str) -> str:
    return (folder / name).read_text()


@pytest.mark.parametrize("folder", FOLDERS, ids=["made up", "real"])
class TestGoldenAnswers:
    def test_beats(self, folder):
        beats = {name: result.beats for name, result in golden(folder).items()}
        assert tables.beat_table(beats) + "\n" == said(folder, "bxb-sumstats.txt")

    def test_beats_from_the_first_sample(self, folder):
        beats = {name: result.beats for name, result in golden(folder, 0.0).items()}
        assert tables.beat_table(beats) + "\n" == said(folder, "bxb-from0-sumstats.txt")

    def test_lines_are_those_before_the_aggregate(self, folder):
        for line, aggregate in (
            ("bxb-line", "bxb"),
            ("bxb-from0-line", "bxb-from0"),
            ("bxb-shutdown", "bxb-shutdown"),
            ("rxr-ve", "rxr-ve"),
            ("rxr-sve", "rxr-sve"),
        ):
            lines = said(folder, f"{line}.txt")
            assert said(folder, f"{aggregate}-sumstats.txt").startswith(lines)

    def test_shutdown(self, folder):
        beats = {name: result.beats for name, result in golden(folder).items()}
        assert tables.shutdown_table(beats) + "\n" == said(folder, "bxb-shutdown-sumstats.txt")

    def test_ventricular_runs(self, folder):
        runs = {name: result.ventricular for name, result in golden(folder).items()}
        assert tables.run_table(runs) + "\n" == said(folder, "rxr-ve-sumstats.txt")

    def test_supraventricular_runs(self, folder):
        runs = {name: result.supraventricular for name, result in golden(folder).items()}
        printed = f"{tables.SVE_TITLE}\n{tables.run_table(runs)}\n"
        assert printed == said(folder, "rxr-sve-sumstats.txt")

    def test_reports_with_the_matrix(self, folder):
        reports = [
            tables.report(name, result.beats, reference="atr", test="tst")
            for name, result in golden(folder).items()
        ]
        assert "\n".join(reports) + "\n" == said(folder, "bxb-matrix.txt")

    def test_the_command(self, folder, tmp_path, capsys):
        written(folder, tmp_path)
        assert cli.main(["ec57", str(tmp_path), "--reference", "atr", "--test", "tst"]) == 0
        printed = capsys.readouterr().out
        for stem in ("bxb", "bxb-shutdown", "rxr-ve", "rxr-sve"):
            assert said(folder, f"{stem}-sumstats.txt") in printed


def written(folder: Path, to: Path) -> None:
    """The records as files: headers, annotators atr and tst."""
    with np.load(folder / "annotations.npz") as test:
        for name in records(test):
            save(to, name, "tst", annotations(test, name))
            if (folder / "reference.npz").exists():
                with np.load(folder / "reference.npz") as reference:
                    save(to, name, "atr", annotations(reference, name))
                (to / f"{name}.hea").write_text(f"{name} 0 360 648000\n")
            else:
                for suffix in (".hea", ".atr"):
                    shutil.copyfile(real(name + suffix), to / (name + suffix))


def save(folder: Path, name: str, annotator: str, given: Annotations) -> None:
    wfdb.wrann(
        name,
        annotator,
        given.sample.astype(np.int64),
        symbol=given.symbol.tolist(),
        subtype=None if given.subtype is None else given.subtype.astype(np.int64),
        write_dir=str(folder),
    )
