"""Comparisons as text, in the layout of bxb, rxr and sumstats."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kdjax.ec57.comparison import Comparison
from kdjax.ec57.labels import BEATS
from kdjax.ec57.pairing import COLUMNS, ROWS, SHUT_DOWN, BeatByBeat
from kdjax.ec57.rates import Ratio, S, V, average, of_beats, of_runs
from kdjax.ec57.runs import LENGTHS, RunByRun

_BEAT_HEADING = (
    "Record Nn' Sn' Vn' Fn' On'  Ns  Ss  Vs  Fs' Os' Nv  Sv   Vv  Fv' Ov' No' So' Vo' Fo'"
    "  Q Se   Q +P   V Se   V +P   S Se   S +P RR err"
)
BEAT_RATES = ("Q Se", "Q +P", "V Se", "V +P", "S Se", "S +P")
# The cells of the line format, which merges F with Q, O with X, and f and q with n.
_MERGED = {"F": "FQ", "O": "OX", "n": "nfq", "o": "ox"}
_CELLS = [row + column for column in "nsvo" for row in "NSVFO" if row + column != "Oo"]
_WIDE = {"Nn": 5, "Vv": 4}
SVE_TITLE = "(SVE run detection)"
_SHUTDOWN_HEADING = (
    "Record Nx   Sx   Vx   Fx   Qx  % beats  % N    % S    % V    % F   Total Shutdown\n"
    "                                missed missed missed missed missed      Time"
)
_RUN_HEADING = "Record CTs CFN CTp CFP STs SFN STp SFP LTs LFN LTp LFP  CSe C+P SSe S+P LSe L+P"
RUN_RATES = ("CSe", "C+P", "SSe", "S+P", "LSe", "L+P")


def beat_table(records: Mapping[str, BeatByBeat]) -> str:
    """A line a record, then sum, gross and average, as sumstats makes of bxb -L."""
    lines = [_BEAT_HEADING]
    for name, result in records.items():
        rates = of_beats(result.matrix)
        values = [*(rates[rate].percent for rate in BEAT_RATES), result.rr_error]
        lines.append(f"{name:>4} {_cells(result.matrix)}{_hundredths(values)}")
    total = total_matrix(records.values())
    gross = of_beats(total, gross=True)
    return "\n".join(
        [
            *lines,
            "_" * len(_BEAT_HEADING),
            f"Sum  {_cells(total)}",
            f"{'Gross':<83}{_hundredths([gross[rate].percent for rate in BEAT_RATES])}",
            f"{'Average':<83}{_hundredths(average_beats(records.values()))}",
            f"Total QRS complexes: {total[: len(BEATS)].sum()}  Total VEBs: {total[V].sum()}  "
            f"Total SVEBs: {total[S].sum()}",
            "",
            _summary(records),
        ]
    )


def shutdown_table(records: Mapping[str, BeatByBeat]) -> str:
    """Beats missed during shutdown: a line a record, then the sum."""
    lines = [_SHUTDOWN_HEADING]
    for name, result in records.items():
        missed = result.matrix[: len(BEATS), SHUT_DOWN]
        all_ = result.matrix[: len(BEATS)].sum(axis=1)
        # As bxb prints it, missed SVEBs are left out of the beats that were missed.
        shares = [Ratio(int(missed.sum() - missed[S]), int(all_.sum()))]
        shares += [Ratio(int(missed[k]), int(all_[k])) for k in map(BEATS.index, "NSVF")]
        lines.append(
            f"{name:>4} {_fives(missed)}  {_hundredths([share.percent for share in shares])}"
            f" {result.shutdown:4.0f} seconds {' '.join(map(str, all_))}"
        )
    total = total_matrix(records.values())[: len(BEATS), SHUT_DOWN]
    seconds = sum(result.shutdown for result in records.values())
    sums = f"Sum  {_fives(total)}"
    return "\n".join([*lines, "_" * 72, f"{sums:<66}{seconds:5.0f} seconds", "", _summary(records)])


def run_table(records: Mapping[str, RunByRun]) -> str:
    """A line a record, then sum, gross and average, as sumstats makes of rxr -L."""
    lines = [_RUN_HEADING]
    for name, runs in records.items():
        rates = of_runs(runs)
        counts = "".join(f"{count:4d}" for count in run_counts(runs))
        lines.append(f"{name:>4}{counts} {_whole([rates[rate].percent for rate in RUN_RATES])}")
    total = total_runs(records.values())
    first, *others = run_counts(total)
    gross = of_runs(total)
    totals = [
        f"Total {length}: {total.detected[k] + total.missed[k]}" for k, length in enumerate(LENGTHS)
    ]
    return "\n".join(
        [
            *lines,
            "_" * 77,
            f"Sum  {first:5d}{''.join(f'{count:4d}' for count in others)}",
            f"{'Gross':<55}{_whole([gross[rate].percent for rate in RUN_RATES])}",
            f"{'Average':<55}{_whole(average_runs(records.values()))}",
            "  ".join(totals),
            "",
            _summary(records),
        ]
    )


def report(name: str, result: BeatByBeat, *, reference: str, test: str) -> str:
    """One record's matrix and rates, as bxb -S has them."""
    rows = [
        f" {row} |" + "".join(f"{count:5d}" for count in counts[: 7 if row in BEATS else 5])
        for row, counts in zip(ROWS, result.matrix, strict=True)
    ]
    rates = of_beats(result.matrix)
    lines = [
        f"{f'{label} {kind}':>26}: {_out_of(rates[f'{label[0]} {short}'])}"
        for label in ("QRS", "VEB", "SVEB")
        for kind, short in (("sensitivity", "Se"), ("positive predictivity", "+P"))
    ]
    return "\n".join(
        [
            f"Beat-by-beat comparison results for record {name}",
            f"Reference annotator: {reference}",
            f"     Test annotator: {test}",
            "",
            "               Algorithm",
            "    " + "".join(f"{column:>5}" for column in COLUMNS),
            "   " + "_" * 36,
            *rows,
            "",
            *lines,
            f"     RMS RR interval error: {_number(result.rr_error, 6, 2)} ms",
        ]
    )


def average_beats(results: Iterable[BeatByBeat]) -> list[float]:
    """Means over records of BEAT_RATES and of the RR error, as sumstats takes them."""
    columns = [
        [*(of_beats(r.matrix, gross=True)[rate].percent for rate in BEAT_RATES), r.rr_error]
        for r in results
    ]
    return [average(values) for values in zip(*columns, strict=True)]


def average_runs(results: Iterable[RunByRun]) -> list[float]:
    """Means over records of RUN_RATES."""
    columns = [[of_runs(runs)[rate].percent for rate in RUN_RATES] for runs in results]
    return [average(values) for values in zip(*columns, strict=True)]


def summary(results: Mapping[str, Comparison], *, reference: str, test: str) -> str:
    """All tables; a single record's matrix stands before them."""
    beats = {name: result.beats for name, result in results.items()}
    parts = []
    if len(beats) == 1:
        parts = [report(*one, reference=reference, test=test) for one in beats.items()]
    return "\n\n".join(
        [
            *parts,
            beat_table(beats),
            shutdown_table(beats),
            "(VE run detection)\n"
            + run_table({name: result.ventricular for name, result in results.items()}),
            f"{SVE_TITLE}\n"
            + run_table({name: result.supraventricular for name, result in results.items()}),
        ]
    )


def total(results: Iterable[Comparison]) -> Comparison:
    """The sum over records, which has no RR error."""
    results = list(results)
    return Comparison(
        beats=BeatByBeat(
            matrix=total_matrix([result.beats for result in results]),
            rr_error=float("nan"),
            shutdown=sum(result.beats.shutdown for result in results),
        ),
        ventricular=total_runs([result.ventricular for result in results]),
        supraventricular=total_runs([result.supraventricular for result in results]),
    )


def total_matrix(results: Iterable[BeatByBeat]) -> np.ndarray:
    """int64 [7, 7]: the sum over records."""
    return np.sum([result.matrix for result in results], axis=0)


def total_runs(results: Iterable[RunByRun]) -> RunByRun:
    """The sum over records."""
    results = list(results)
    names = ("detected", "missed", "true", "false")
    return RunByRun(**{name: np.sum([getattr(r, name) for r in results], axis=0) for name in names})


def beat_counts(matrix: np.ndarray) -> dict[str, int]:
    """The 19 cells of the line format, by their heading."""
    counts = {}
    for cell in _CELLS:
        row, column = cell
        rows = [ROWS.index(letter) for letter in _MERGED.get(row, row)]
        columns = [COLUMNS.index(letter) for letter in _MERGED.get(column, column)]
        counts[cell] = int(matrix[np.ix_(rows, columns)].sum())
    return counts


def run_counts(runs: RunByRun) -> list[int]:
    """The 12 counts of the line format, in its order."""
    columns = np.stack([runs.detected, runs.missed, runs.true, runs.false], axis=1)
    return [int(count) for count in columns.ravel()]


def _cells(matrix: np.ndarray) -> str:
    counts = beat_counts(matrix)
    return " ".join(f"{count:{_WIDE.get(cell, 3)}d}" for cell, count in counts.items())


def _fives(counts: np.ndarray) -> str:
    return " ".join(f"{count:4d}" for count in counts)


def _hundredths(values: Sequence[float]) -> str:
    return "".join(f" {_number(value, 6, 2)}" for value in values)


def _whole(values: Sequence[float]) -> str:
    """Whole per cents, halves rounded up as rxr does."""
    return "".join(f" {_number(np.floor(value + 0.5), 3, 0)}" for value in values)


def _number(value: float, width: int, decimals: int) -> str:
    if np.isnan(value):
        return f"{'-':>{width}}"
    return f"{value:{width}.{decimals}f}"


def _out_of(rate: Ratio) -> str:
    percent = f"{rate.percent:6.2f}%" if rate.whole else "     - "
    return f"{percent} ({rate.part}/{rate.whole})"


def _summary(records: Mapping[str, object]) -> str:
    return f"Summary of results from {len(records)} records"
