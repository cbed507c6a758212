"""Comparisons as rows of numbers, for CSV and JSON."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kdjax.ec57 import tables
from kdjax.ec57.comparison import Comparison
from kdjax.ec57.labels import BEATS
from kdjax.ec57.pairing import SHUT_DOWN
from kdjax.ec57.rates import of_beats, of_runs
from kdjax.ec57.runs import LENGTHS, RunByRun

HEADING = "record,"  # how the CSV begins

_RUNS = {"VE": "ventricular", "SVE": "supraventricular"}


def rows(results: Mapping[str, Comparison]) -> list[dict[str, Any]]:
    """A row a record, then 'gross' and 'average'; None where there is nothing to divide by.

    Columns are named as in the tables. Rates are in per cent, the RR error in ms, shutdown in s.
    """
    total = tables.total(results.values())
    gross = _row("gross", total, gross=True)
    average = dict.fromkeys(gross) | {"record": "average"}
    means = tables.average_beats([result.beats for result in results.values()])
    average |= zip([*tables.BEAT_RATES, "RR err"], means, strict=True)
    for prefix, origin in _RUNS.items():
        means = tables.average_runs([getattr(result, origin) for result in results.values()])
        average |= zip((f"{prefix} {rate}" for rate in tables.RUN_RATES), means, strict=True)
    table = [*(_row(name, result) for name, result in results.items()), gross, average]
    return [{name: _plain(value) for name, value in row.items()} for row in table]


def as_csv(table: Sequence[Mapping[str, Any]]) -> str:
    """CSV with a heading; empty where there is no number."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def as_json(
    table: Sequence[Mapping[str, Any]],
    results: Mapping[str, Comparison],
    settings: Mapping[str, Any],
) -> str:
    """JSON, a row a line: the settings, then the rows, with matrices but in the average."""
    matrices = [result.beats.matrix.tolist() for result in results.values()]
    matrices.append(tables.total_matrix([r.beats for r in results.values()]).tolist())
    added = [*({"matrix": matrix} for matrix in matrices), {}]
    lines = [
        json.dumps(dict(row) | more, allow_nan=False)
        for row, more in zip(table, added, strict=True)
    ]
    head = "".join(
        f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in settings.items()
    )
    return "{" + head + '"rows": [\n' + ",\n".join(lines) + "\n]}\n"


def _row(name: str, result: Comparison, *, gross: bool = False) -> dict[str, Any]:
    row: dict[str, Any] = {"record": name}
    row |= tables.beat_counts(result.beats.matrix)
    row |= _percents(of_beats(result.beats.matrix, gross=gross))
    row["RR err"] = result.beats.rr_error
    row |= {f"{beat}x": result.beats.matrix[k, SHUT_DOWN] for k, beat in enumerate(BEATS)}
    row["shutdown"] = result.beats.shutdown
    for prefix, origin in _RUNS.items():
        runs: RunByRun = getattr(result, origin)
        names = [
            f"{prefix} {length[0].upper()}{count}"
            for length in LENGTHS
            for count in ("Ts", "FN", "Tp", "FP")
        ]
        row |= zip(names, tables.run_counts(runs), strict=True)
        row |= {f"{prefix} {rate}": value for rate, value in _percents(of_runs(runs)).items()}
    return row


def _percents(rates: Mapping[str, Any]) -> dict[str, float]:
    return {name: rate.percent for name, rate in rates.items()}


def _plain(value: Any) -> Any:
    """A number as JSON has it, to four decimals; None for NaN."""
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value if value is None or isinstance(value, str) else int(value)
