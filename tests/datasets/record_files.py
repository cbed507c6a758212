"""Folders of small recordings with annotations, written for a test."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import wfdb

FS = 360


@dataclasses.dataclass(frozen=True)
class Beat:
    """An annotated beat: `off` is how far from the annotation the signal has its R-wave."""

    sample: int
    symbol: str = "N"
    off: int = 0


def beats_of(symbols: str, first=180, gap=300) -> list[Beat]:
    return [Beat(first + gap * i, symbol) for i, symbol in enumerate(symbols)]


def write_record(folder: Path, name: str, marks: list[Beat], leads=("V5", "MLII")) -> None:
    """A record with bells of 1 mV for R-waves, all leads alike, 400 samples after the last."""
    length = marks[-1].sample + 400
    time = np.arange(length)
    wave = sum(np.exp(-0.5 * ((time - m.sample - m.off) / 4.0) ** 2) for m in marks)
    steps = np.round(200 * wave + np.random.default_rng(len(marks)).normal(0, 2, length))
    wfdb.wrsamp(
        name,
        fs=FS,
        units=["mV"] * len(leads),
        sig_name=list(leads),
        d_signal=np.stack([steps.astype(np.int64)] * len(leads), axis=1),
        fmt=["212"] * len(leads),
        adc_gain=[200.0] * len(leads),
        baseline=[0] * len(leads),
        write_dir=str(folder),
    )
    samples, symbols = [m.sample for m in marks], [m.symbol for m in marks]
    wfdb.wrann(name, "atr", np.array(samples), symbol=symbols, write_dir=str(folder))


def checksums_of(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


def files_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def wave(centres, length: int, fs: float = 360.0, sigma: float = 4 / 360) -> np.ndarray:
    """Bells of 1 mV at `centres` in samples, and noise."""
    time = np.arange(length)[:, None] / fs
    bells = np.exp(-0.5 * ((time - np.asarray(centres) / fs) / sigma) ** 2).sum(axis=1)
    return bells + np.random.default_rng(length).normal(0, 0.01, length)


def write_csv(folder: Path, name: str, signal: np.ndarray, leads=("II",)) -> None:
    columns = np.asarray(signal).reshape(len(signal), -1)
    lines = [",".join(leads), *(",".join(f"{v:.6f}" for v in row) for row in columns)]
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")


def mark(folder: Path, name: str, samples, symbols: str) -> None:
    rows = [f"{n},{s}" for n, s in zip(samples, symbols, strict=True)]
    (folder / f"{name}.annotations.csv").write_text("\n".join(["sample,symbol", *rows]) + "\n")
