"""Commands on recordings: detect, review, calibrate, ec57."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdjax.errors import InputError, counted, one_line
from kdjax.files import check_folder, check_output, write_bytes, write_text

_SHARES = (0.0, 0.01, 0.05, 0.2)  # shares of a calibration's beats for which thresholds are told


def detect(args: argparse.Namespace) -> None:
    """Finds abnormal beats in recordings, writes a folder for each, and says what was found."""
    from kdjax.detection import detector_files, earlier, index
    from kdjax.recordings import annotator_suffix, result_names
    from kdjax.runs import provenance

    check_folder(args.out)
    against = None if args.against is None else annotator_suffix("against", args.against)
    detector = _detector(args.run_directory)
    if args.calibration is not None:
        detector = detector_files.recalibrated(detector, args.calibration)
    made_by = provenance.made_by(by_jax=not detector.small)
    known = earlier.read(args.earlier) if args.earlier is not None else None
    paths, empty = _recordings(args)
    refused, all_of_them = len(empty), len(paths) + len(empty)
    if all_of_them > 1:
        index.check_free(args.out)
    for folder in empty:
        print(f"kdjax detect: {one_line(folder)}: no recordings in it", file=sys.stderr)
    references = {} if against is None else _references(paths, against)
    done: list[tuple[str, Path]] = []
    for path, name in zip(paths, result_names(paths), strict=True):
        out = args.out / name
        try:
            said = _detect_in(path, out, args, detector=detector, made_by=made_by, known=known)
        except InputError as error:
            said = str(error) if path.stem in str(error) else f"{path}: {error}"
            if all_of_them == 1:
                raise InputError(said) from error
            refused += 1
            print(f"kdjax detect: {one_line(said)}", file=sys.stderr)
        else:
            done.append((name, path))
            print(said, flush=True)
    if done and all_of_them > 1:
        index.write(args.out)
        print(f"index of all recordings: {args.out / index.PAGE}")
    else:
        index.update(args.out)
    compared = [(name, references[path]) for name, path in done if path in references]
    damaged = _compare(args.out, compared, against) if against and compared else 0
    if refused:
        raise InputError(f"recordings refused: {refused} of {all_of_them}")
    if damaged:
        raise InputError(f"annotation files refused: {damaged} of {len(compared)}")


_NOTHING_CARRIED = "no name was carried over: no family is like one that was named"


def _detect_in(
    path: Path,
    out: Path,
    args: argparse.Namespace,
    *,
    detector: Any,
    made_by: dict[str, Any],
    known: Any,
) -> str:
    """Writes the folder of one recording; gives what to print about it.

    known: an earlier detection of the person and its decisions, or None.
    """
    from kdjax.detection import ahead, cores, earlier, files
    from kdjax.detection.recording import detect

    source = _source(path, args)
    check_folder(out)
    files.check_free(out, source.file)
    with _bar(source.name, source.length) as progress:
        try:
            found = detect(
                detector,
                source,
                leads=args.lead,
                fpr=args.fpr,
                alarms_per_hour=args.alarms_per_hour,
                threshold=args.threshold,
                made_by=made_by,
                progress=progress,
                find=ahead.all_cores if source.length > ahead.LONG * source.fs else cores.all_cores,
            )
        except ChildProcessError as error:  # a recording after it may need less memory
            raise InputError(f"{path}: {error}") from error
    decisions, doubts = earlier.carried_if_alike(known, found)
    found = replace(found, notes=(*found.notes, *doubts))
    _, found, said = files.write(found, out, decisions)
    nothing = _NOTHING_CARRIED if known is not None and not decisions and not doubts else ""
    return "\n  ".join(filter(None, [_in_short(found, out), nothing, said]))


def _references(paths: Sequence[Path], annotator: str) -> dict[Path, Path]:
    """The annotation files beside WFDB records; says which have none, InputError if all."""
    from kdjax.recordings import annotations_beside, find

    there, lacking = {}, []
    for path in paths:
        try:
            file = find(path)
        except InputError:  # reported when it is opened, unless it is the only one
            if len(paths) == 1:
                raise
            continue
        file = annotations_beside(file, annotator)
        if file.is_file():
            there[path] = file
        else:
            lacking.append(file)
    if not there and lacking:
        raise InputError(f"{lacking[0]}: no such file; --against {annotator} needs one")
    if lacking:
        said = f"kdjax detect: not compared, no such file: {_names(lacking)}"
        print(one_line(said), file=sys.stderr)
    return there


def _compare(out: Path, done: Sequence[tuple[str, Path]], annotator: str) -> int:
    """Prints the EC57 figures of folders of `out` against reference files; how many are damaged."""
    from kdjax import ec57
    from kdjax.detection import files
    from kdjax.ec57 import tables
    from kdjax.recordings import read_annotation_file

    results = {}
    for name, file in done:
        detection = files.read(out / name)
        try:
            reference = read_annotation_file(file, detection.fs)
        except InputError as error:
            if len(done) == 1:
                raise
            print(f"kdjax detect: not compared: {one_line(error)}", file=sys.stderr)
            continue
        test = read_annotation_file(files.annotation_file(out / name, detection), detection.fs)
        results[name] = ec57.compare(reference, test, detection.fs)
    if results and not _any_beat(results):
        print(
            f"--against {annotator}: no beat lies after the first 5 minutes, where the comparison "
            "begins; kdjax ec57 --from 0:00 compares all of them"
        )
    elif results:
        print(tables.summary(results, reference=annotator, test="kdjax"))
        print(
            "From minute 5; escape beats (e, j) count as S, as for bxb. With AAMI's classes, as in "
            f"the figures of kdjax: kdjax ec57 RECORDS --reference {annotator} --test kdjax "
            f"--detections {out} --classes aami"
        )
    return len(done) - len(results)


def review(args: argparse.Namespace) -> None:
    """Applies a person's decisions to the files of a detection, without the network."""
    from kdjax.detection import earlier, files, index, review
    from kdjax.detection.kinds import KINDS

    detection = files.read(args.folder)
    saved = args.folder / files.REVIEW
    if args.earlier is not None and args.earlier.resolve() == args.folder.resolve():
        raise InputError(f"--earlier {args.earlier}: is the folder itself; name an earlier one")
    adds = args.families is not None or args.earlier is not None
    own = review.read(saved, detection) if adds and saved.exists() else []
    if args.families is not None:
        as_reviewed = review.reviewed(detection, own)
        decisions = [*own, *review.from_table(args.families, as_reviewed)]
    elif args.earlier is not None:
        names, doubts = earlier.carried(*earlier.read(args.earlier), detection)
        doubts = doubts if names or doubts else (_NOTHING_CARRIED,)
        decisions = review.together(names, own)
        sys.stderr.writelines(f"kdjax review: {one_line(doubt)}\n" for doubt in doubts)
    else:
        decisions = review.read(args.decisions or saved, detection)
    try:
        written = files.write_reviewed(detection, decisions, args.folder, applied=args.families)
    except InputError as error:
        raise InputError(f"{args.decisions or saved}: {error}; correct or remove it") from error
    index.update(args.folder.absolute().parent)
    counts = ", ".join(f"{(written.detection.beats.kind == kind).sum()} {kind}" for kind in KINDS)
    decided = counted(len(decisions), "decision")
    print(f"{detection.recording}: {decided}; {counts}; {args.folder / 'report.html'}")
    if written.said:
        print(f"  {written.said}")


def calibrate(args: argparse.Namespace) -> None:
    """Moves a detector to one person by recordings that nobody labelled."""
    from kdjax.detection import detector_files, kinds, personal
    from kdjax.detection.deciding import FPR
    from kdjax.scores import calibration

    check_output(args.out, ".npz", begins=b"PK")
    if args.out.exists():
        detector_files.read_calibration(args.out)  # nothing else is written over
    detector = _detector(args.run_directory)
    sources = [_source(path, args) for path in _recordings(args)[0]]
    with _bar("calibrating", 2 * sum(source.length for source in sources)) as progress:
        moved, own, notes = personal.calibrate(
            detector, sources, leads=args.lead, progress=progress
        )
    write_bytes(args.out, detector_files.calibration_bytes(moved))
    threshold, rate = kinds.threshold(FPR), f"{100 * FPR:g} %"
    print(
        f"{args.out}: the score, adapted to {moved.source}; use it with kdjax detect --calibration "
        f"{args.out}"
    )
    for note in notes:
        print(f"  note: {one_line(note)}")
    print(
        f"{rate} of other people's normal beats score above the threshold, {threshold:.4g}; of "
        f"these {len(own)} beats, {100 * (own > threshold).mean():.1f} % do."
    )
    shares = [share for share in _SHARES if len(own) * (1 - share) * FPR >= 1]
    if not shares:
        print(f"These are too few beats to set a threshold that {rate} of them exceed.")
        return
    print(
        f"If you know the share of abnormal beats here, the --threshold beside it leaves {rate} of "
        "the normal ones above it:"
    )
    for share in shares:
        print(f"  {100 * share:3.0f} % abnormal: {calibration.own_threshold(own, FPR, share):.4g}")


def ec57(args: argparse.Namespace) -> None:
    """Compares two annotators by EC57: prints tables, and writes rows where asked."""
    from kdjax import ec57
    from kdjax.ec57 import records, rows, tables

    if args.json is not None:
        check_output(args.json, ".json", begins=b"{")
    if args.csv is not None:
        check_output(args.csv, ".csv", begins=rows.HEADING.encode())
    found, left_out = records.find(
        args.records, reference=args.reference, test=args.test, detections=args.detections
    )
    start = _seconds(args.start)
    results = {}
    for record in found:
        fs, reference, test = record.read()
        results[record.name] = ec57.compare(
            reference, test, fs, start=start, classes=ec57.CLASSES[args.classes]
        )
    if not _any_beat(results):
        raise InputError(
            f"--from {args.start}: no beat lies after it; begin earlier, as with --from 0:00"
        )
    settings = {
        "reference": args.reference,
        "test": args.test,
        "from_seconds": start,
        "match_seconds": ec57.MATCH_SECONDS,
        "classes": args.classes,
        "left_out": left_out,
    }
    table = rows.rows(results)
    if args.json is not None:
        write_text(args.json, rows.as_json(table, results, settings))
    if args.csv is not None:
        write_text(args.csv, rows.as_csv(table))
    print("\n".join(left_out), file=sys.stderr, end="\n" if left_out else "")
    print(tables.summary(results, reference=args.reference, test=args.test))


def _any_beat(results: Mapping[str, Any]) -> bool:
    """Whether any of the comparisons is of a beat."""
    return any(result.beats.matrix.any() for result in results.values())


def _seconds(time: str) -> float:
    """Seconds of a time as 5:00, 1:30:00 or 300."""
    parts = time.split(":")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if not 1 <= len(values) <= 3 or not all(0 <= value < float("inf") for value in values):
        raise InputError(f"--from {time}: not a time; give minutes and seconds, as in 5:00")
    return sum(value * 60**k for k, value in enumerate(reversed(values)))


def _recordings(args: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """The recordings that are named, or lie in folders that are, each once; empty folders."""
    from kdjax.detection.files import WHOLE
    from kdjax.recordings import identity, look_into

    named: dict[Path, Path] = {}
    empty = []
    for path in args.recording:
        if path.is_dir() and (path / WHOLE).exists():
            raise InputError(f"{path}: is a folder that kdjax detect wrote; name a recording")
        recordings, others = look_into(path) if path.is_dir() else ([path], [])
        if others and recordings:
            note = f"kdjax {args.command}: {path}: skipped, not recordings: {_names(others)}"
            print(one_line(note), file=sys.stderr)
        if not recordings:
            empty.append(path)
        for file in recordings:
            try:
                named.setdefault(identity(file), file)
            except InputError:  # reported when it is opened
                named.setdefault(file.absolute(), file)
    if not named:
        raise InputError(f"{empty[0]}: no recordings in it; name another folder, or a recording")
    return list(named.values()), empty


def _names(files: Sequence[Path]) -> str:
    """The names of up to five files, and how many more there are."""
    more = f" and {len(files) - 5} more" if len(files) > 5 else ""
    return ", ".join(file.name for file in files[:5]) + more


def _detector(run: str) -> Any:
    """A calibrated detector, refused before a recording is read where it has no calibration."""
    from kdjax.detection import detector_files
    from kdjax.detection.deciding import calibration_of

    detector = detector_files.shipped_one(run)
    if detector is None or not detector.small:  # a small one does without JAX
        from kdjax.runs import directory

        if detector is None:
            directory.check_finished(Path(run))

        from kdjax.training import compilation

        compilation.keep_programs()
        detector = directory.load_run(run)
    calibration_of(detector)
    return detector


def _source(path: Path, args: argparse.Namespace) -> Any:
    from kdjax import recordings

    return recordings.open_source(path, args.fs, args.units, gain=args.gain)


@contextlib.contextmanager
def _bar(name: str, samples: int) -> Iterator[Callable[[int], Any]]:
    """A bar on a terminal, nothing in a log."""
    from tqdm import tqdm

    with tqdm(total=samples, desc=name, unit="", unit_scale=True, disable=None, leave=False) as bar:
        yield bar.update


def _in_short(found: Any, out: Path) -> str:
    """A line on a recording, and one for each note."""
    import numpy as np

    from kdjax.detection.kinds import ABNORMAL
    from kdjax.detection.summary import without_artefacts

    beats = without_artefacts(found.beats)
    scored = int(np.isfinite(beats.score).sum())
    counts = {kind: int((beats.kind == kind).sum()) for kind in ABNORMAL}
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count or kind in "SV")
    hours = found.seconds / 3600
    length = f"{hours:.2f} h" if hours >= 1 else f"{60 * hours:.1f} min"
    line = (
        f"{found.recording}: {length}, {len(beats.sample)} beats, {scored} of them scored, "
        f"{sum(counts.values())} abnormal ({kinds}); {out / 'report.html'}"
    )
    return "\n".join([one_line(line), *(f"  note: {one_line(note)}" for note in found.notes)])
