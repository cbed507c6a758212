"""The `kdjax` command. Each subcommand is one function of the parsed arguments."""

import argparse
import contextlib
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdjax import memory, signals
from kdjax.arguments import parser
from kdjax.errors import InputError, of_disk, one_line


def main(argv: Sequence[str] | None = None, program: str = "kdjax") -> int:
    """Runs a subcommand.

    Args:
        argv: the arguments; those of the process unless given.
        program: the name that messages begin with.

    Returns:
        The exit status: 0 done, 2 the input is wrong, said in one line, 128 and the signal's number
        when one stopped a training.
    """
    args = parser().parse_args(argv)
    args.called = program if program != "kdjax" else f"kdjax {args.command}"
    return _status(args, lambda: _COMMANDS[args.command](args))


def _status(args: argparse.Namespace, work: Callable[[], int | None]) -> int:
    """The exit status of a command's work; what is wrong with the input is said in one line."""
    try:
        memory.check_limit(args.command)
        return work() or 0
    except BrokenPipeError:  # of `head`, say: nobody reads what comes
        return 128 + signal.SIGPIPE
    except Exception as error:  # lack of memory is raised as anything; a defect is raised again
        said = _in_one_line(error)
        if said is None:
            raise
        print(f"{args.called}: {one_line(said)}", file=sys.stderr)
        if said is memory.LACKING:
            signals.end(2)  # libraries that got no memory crash when they are taken down
        return 2
    except KeyboardInterrupt:
        if args.command in ("train", "study"):
            print("stopped; type the same command to go on", file=sys.stderr)
        return 130


def _in_one_line(error: Exception) -> str | None:
    """What a user is told of an exception; None where it is a defect."""
    if memory.lacks(error):  # first: a reader may have taken it for a damaged file
        return memory.LACKING
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        return of_disk(error)
    return None


def train(args: argparse.Namespace) -> int:
    """Trains what a config asks for; a run that was stopped goes on."""
    from kdjax.runs import config_file

    given = args.config or args.config_flag
    if not given:
        raise InputError("the config is missing; for example configs/student.py")
    config = config_file.load(given)
    config_file.override(config, args.set)
    if "data" not in config:
        raise InputError(f"{given}: no config of a training; kdjax study takes those of studies")
    name = Path(given.partition(":")[0]).stem
    workdir = args.workdir or Path("runs") / f"{name}-{config.data.dataset}"

    from kdjax.runs import config as configs
    from kdjax.training import loop, processes

    joining = args.coordinator, args.processes, args.process, args.cluster
    processes.check(*joining)
    configs.check(config)

    def work() -> int:
        processes.join(*joining)
        try:
            loop.train(config, workdir, args.overwrite)
        except loop.Stopped as stopped:
            print(stopped, file=sys.stderr)
            return 128 + stopped.signum
        return 0

    status = 1
    try:
        status = _status(args, work)  # said before the other processes are left
    finally:
        processes.leave(status)
    return status


def prepare(args: argparse.Namespace) -> None:
    """Makes the MIT-BIH data set, or one of the user's data; prints what each record gave."""
    from kdjax import datasets
    from kdjax.datasets import losses

    of_recordings = ("lead", "classes", "fs", "units", "gain", "annotator")
    options = [f"--{o}" for o in of_recordings if getattr(args, o) not in (None, [])]
    remarks: list[str] = []
    if args.what == "mitbih":
        if args.name is not None or options:
            strange = "--name" if args.name is not None else options[0]
            raise InputError(f"mitbih takes no {strange}; for a folder of that name give ./mitbih")
        rows = datasets.prepare_mitbih(args.source, args.data_dir, args.download)
    elif args.source is not None or args.download:
        raise InputError(
            f"{args.what}: your own data takes neither --from nor --download; those are for: "
            "kdjax prepare mitbih"
        )
    elif args.name is None:
        raise InputError(f"{args.what}: your own data needs a name, as in --name mine")
    elif args.what.lower().endswith(".npz"):
        if options:
            raise InputError(f"{args.what}: {options[0]} is for recordings; leave it out")
        rows, remarks = datasets.prepare_windows(args.what, args.name, args.data_dir)
    else:
        rows, remarks = datasets.prepare_own(
            args.what,
            args.name,
            args.lead,
            classes=args.classes,
            fs=args.fs,
            units=args.units,
            data_dir=args.data_dir,
            gain=args.gain,
            annotator=args.annotator,
        )
    print("\n".join([losses.as_text(rows), *map(one_line, remarks)]))
    place = "" if args.data_dir is None else f" --set data.dir={shlex.quote(str(args.data_dir))}"
    print(f"train on it with: kdjax train student:{args.name or args.what}{place}")


def evaluate(args: argparse.Namespace) -> None:
    """Scores a run's test beats anew and prints the result block."""
    from kdjax.detection import detector_files
    from kdjax.runs import directory, evaluation
    from kdjax.training import compilation

    compilation.keep_programs()
    if not args.run_directory.exists() and str(args.run_directory) in detector_files.shipped():
        raise InputError(
            f"{args.run_directory}: a shipped detector, without a run's test beats; evaluate takes "
            "the run directory of kdjax train"
        )
    config = directory.read_config(args.run_directory)
    # Before the data, so that a damaged run is told at once.
    if directory.load_model(args.run_directory).progress["epoch"] < config["epochs"]:
        raise InputError(f"{args.run_directory}: {directory.remedy(args.run_directory)}")
    if args.data_dir is not None:
        config["data"]["dir"] = str(args.data_dir)
    beats, parts = evaluation.load_data(config)
    found = evaluation.evaluate(args.run_directory, beats, parts)
    print(evaluation.result_block(found.result))
    evaluation.write(args.run_directory, found)  # after it: the disk may be full, or read-only


def detect(args: argparse.Namespace) -> None:
    """Finds abnormal beats in recordings, writes a folder for each, and says what was found."""
    from kdjax.detection import detector_files, earlier, files, index
    from kdjax.detection.recording import detect
    from kdjax.recordings import result_names
    from kdjax.runs import provenance

    detector = _detector(args.run_directory)
    if args.calibration is not None:
        detector = detector_files.recalibrated(detector, args.calibration)
    made_by = provenance.made_by(by_jax=not detector.small)
    known = earlier.read(args.earlier) if args.earlier is not None else None
    paths, empty = _recordings(args)
    refused, all_of_them = len(empty), len(paths) + len(empty)
    for folder in empty:
        print(f"kdjax detect: {one_line(folder)}: no recordings in it", file=sys.stderr)
    references = [_reference(path, args.against) for path in paths if args.against]
    done: list[tuple[str, Path]] = []
    for path, name in zip(paths, result_names(paths), strict=True):
        out = args.out / name
        try:
            files.check_free(out, path)
            source = _source(path, args)
            with _bar(source.name, source.length) as progress:
                found = detect(
                    detector,
                    source,
                    args.lead,
                    args.fpr,
                    args.alarms_per_hour,
                    args.threshold,
                    made_by,
                    progress,
                )
            decisions, doubts = earlier.carried_if_alike(known, found)
            found = replace(found, file=str(path.absolute()), notes=(*found.notes, *doubts))
            _, found, said = files.write(found, out, decisions)
        except InputError as error:
            if all_of_them == 1:
                raise
            refused += 1
            print(f"kdjax detect: {one_line(error)}", file=sys.stderr)
        else:
            done.append((name, path))
            print("\n  ".join(filter(None, [_in_short(found, out), said])), flush=True)
    if len(done) > 1:
        index.write(args.out)
        print(f"all of them: {args.out / index.PAGE}")
    else:
        index.update(args.out)
    if references and done:
        print(_compared(args.out, done, args.against))
    if refused:
        raise InputError(f"{refused} of {all_of_them} recordings were refused")


def _reference(path: Path, annotator: str) -> Path:
    """The annotation file beside a WFDB record; InputError where there is none."""
    file = path.with_suffix("") if path.suffix == ".hea" else path
    file = file.with_name(f"{file.name}.{annotator}")
    if not file.is_file():
        raise InputError(f"{file}: no such file; --against needs one beside every record")
    return file


def _compared(out: Path, done: Sequence[tuple[str, Path]], annotator: str) -> str:
    """The EC57 figures of what was written to folders of `out` against the references."""
    from kdjax import ec57
    from kdjax.detection import files
    from kdjax.ec57 import tables
    from kdjax.recordings import read_annotation_file

    results = {}
    for name, path in done:
        detection = files.read(out / name)
        reference = read_annotation_file(_reference(path, annotator), detection.fs)
        test = read_annotation_file(files.annotation_file(out / name, detection), detection.fs)
        results[name] = ec57.compare(reference, test, detection.fs)
    return tables.summary(results, reference=annotator, test="kdjax")


def review(args: argparse.Namespace) -> None:
    """Applies a person's decisions to the files of a detection, without the network."""
    from kdjax.detection import earlier, files, index, review

    detection = files.read(args.folder)
    saved = args.folder / files.REVIEW
    if args.families is not None:
        decisions = review.read(saved, detection) if saved.exists() else []
        families = review.reviewed(detection, decisions).families
        decisions = [*decisions, *review.from_table(args.families, families)]
    elif args.earlier is not None:
        decisions, doubts = earlier.carried(*earlier.read(args.earlier), detection)
        sys.stderr.writelines(f"kdjax review: {one_line(doubt)}\n" for doubt in doubts)
    else:
        decisions = review.read(args.decisions or saved, detection)
    reviewed = files.write_reviewed(detection, decisions, args.folder)
    index.update(args.folder.absolute().parent)
    counts = ", ".join(f"{(reviewed.beats.kind == kind).sum()} {kind}" for kind in "NSVFQX")
    decided = f"{len(decisions)} {'decision' if len(decisions) == 1 else 'decisions'}"
    print(f"{detection.recording}: {decided}; {counts}; {args.folder / 'report.html'}")


def calibrate(args: argparse.Namespace) -> None:
    """Moves a detector to one person by recordings that nobody labelled."""
    from kdjax.detection import detector_files, kinds, personal
    from kdjax.detection.deciding import FPR
    from kdjax.files import write_bytes
    from kdjax.scores import calibration

    if args.out.suffix != ".npz":
        raise InputError(f"--out {args.out}: a calibration is a .npz file; name it so")
    if args.out.exists():
        detector_files.read_calibration(args.out)  # nothing else is written over
    detector = _detector(args.run_directory)
    sources = [_source(path, args) for path in _recordings(args)[0]]
    with _bar("calibrating", sum(source.length for source in sources)) as progress:
        moved, own = personal.calibrate(detector, sources, args.lead, progress)
    write_bytes(args.out, detector_files.calibration_bytes(moved))
    threshold = kinds.threshold(FPR)
    print(
        f"{args.out}: the score, {moved.source}; for kdjax detect --calibration {args.out}\n"
        f"Its threshold, {threshold:.4g}, is what {100 * FPR:g}% of other people's normal "
        f"beats exceed; {(own > threshold).mean():.1%} of these {len(own)} beats do. If you know "
        "how many of these beats are abnormal, --threshold may be one that "
        f"{100 * FPR:g}% of the others exceed:"
    )
    for abnormal in (0.0, 0.01, 0.05, 0.2):
        own_one = calibration.own_threshold(own, FPR, abnormal)
        print(f"  {abnormal:4.0%} abnormal: {own_one:.4g}")


def ec57(args: argparse.Namespace) -> None:
    """Compares two annotators by EC57: prints tables, and writes rows where asked."""
    from kdjax import ec57, files
    from kdjax.ec57 import records, rows, tables

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
    if not any(result.beats.matrix.any() for result in results.values()):
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
        files.write_text(args.json, rows.as_json(table, results, settings))
    if args.csv is not None:
        files.write_text(args.csv, rows.as_csv(table))
    print("\n".join(left_out), file=sys.stderr, end="\n" if left_out else "")
    print(tables.summary(results, reference=args.reference, test=args.test))


def benchmark(args: argparse.Namespace) -> None:
    """Times runs by turns, prints a table, and writes it with a picture where asked."""
    from kdjax.files import write_json
    from kdjax.runs import cost as benchmarks

    found = benchmarks.benchmark(args.run_directory, lambda line: print(line, file=sys.stderr))
    print(benchmarks.table(found["rows"]))
    if args.json is not None:
        from kdjax.pages import plots

        write_json(args.json, found)
        plots.save(plots.bars(benchmarks.panels(found["rows"])), args.json.with_suffix(".png"))


def import_beatgan(args: argparse.Namespace) -> None:
    """Makes a run directory of BeatGAN's PyTorch checkpoints."""
    from kdjax.runs import interop

    interop.import_run(args.generator, args.discriminator, args.out, args.dataset)
    print(f"{args.out}: a run of the imported networks; score it with kdjax evaluate {args.out}")


def export(args: argparse.Namespace) -> None:
    """Writes a run as one file or as a folder of C, checked against the Detector."""
    from kdjax.runs import export as exports

    if args.format == "c":
        parity = exports.export_c(args.run_directory, args.out)
        print(
            f"{args.out}: {parity.beats - parity.differ} of {parity.beats} decisions are the "
            f"run's, the others near the threshold; scores differ by at most {parity.most:.2g}"
        )
        return
    error = exports.export(args.run_directory, args.format, args.out, int8=args.int8)
    print(f"{args.out}: decides as the run does; scores differ by {error:.0e} of theirs at most")


def study(args: argparse.Namespace) -> None:
    """Trains and scores what a study still lacks, and writes what it says, also when stopped."""
    from kdjax.files import write_json
    from kdjax.runs import config_file
    from kdjax.study import cells as studies
    from kdjax.study import comparison, grid
    from kdjax.training import compilation

    compilation.keep_programs()
    config = config_file.load(args.config)
    if args.data_dir is not None:
        config.base.data.dir = str(args.data_dir)
    path, _, part = args.config.partition(":")
    workdir = args.workdir or Path("runs") / "-".join(filter(None, (Path(path).stem, part)))
    grid.check(config)
    try:
        with signals.interrupting():
            studies.run_study(config, workdir, lambda line: print(line, flush=True))
    finally:  # what there is, also where a cell has failed
        result = grid.gather(config, workdir)
        out = args.json or workdir / "study.json"
        write_json(out, {"command": f"kdjax study {args.config}"} | result)
        print("\n\n".join([comparison.table(split) for split in result["splits"]] + [str(out)]))
        if result["missing"]:
            left = f"{len(result['missing'])} groups of cells are not made"
            print(f"{left}; type the same command to go on", file=sys.stderr)


def _seconds(time: str) -> float:
    """Seconds of a time as 5:00, 1:30:00 or 300."""
    parts = time.split(":")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if not 1 <= len(values) <= 3 or not all(0 <= value < float("inf") for value in values):
        raise InputError(f"--from {time}: no time; give minutes and seconds, as in 5:00")
    return sum(value * 60**k for k, value in enumerate(reversed(values)))


def _recordings(args: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """The recordings that are named or lie in folders that are, each once; folders without any."""
    from kdjax.recordings import look_into

    found: dict[Path, Path] = {}
    empty = []
    for path in args.recording:
        recordings, others = look_into(path) if path.is_dir() else ([path], [])
        if others and recordings:
            more = f" and {len(others) - 5} more" if len(others) > 5 else ""
            names = ", ".join(file.name for file in others[:5]) + more
            note = f"kdjax {args.command}: {path}: left out, no recordings: {names}"
            print(one_line(note), file=sys.stderr)
        if not recordings:
            empty.append(path)
        for file in recordings:
            found.setdefault(file.absolute(), file)
    if not found:
        raise InputError(f"{empty[0]}: no recordings in it; name another folder, or a recording")
    return list(found.values()), empty


def _detector(run: str) -> Any:
    """A calibrated detector, refused before a recording is read where it has no calibration."""
    from kdjax.detection import detector_files
    from kdjax.detection.deciding import calibration_of

    detector = detector_files.shipped_one(run)
    if detector is None or not detector.small:  # a small one does without JAX
        from kdjax.runs import directory
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
    beats = found.beats
    scored = int((beats.quality == "good").sum())
    abnormal = int(beats.abnormal.sum())
    kinds = ", ".join(f"{(beats.kind == kind).sum()} {kind}" for kind in "SVFQ")
    hours = found.seconds / 3600
    length = f"{hours:.2f} h" if hours >= 1 else f"{60 * hours:.1f} min"
    line = (
        f"{found.recording}: {length}, {len(beats.sample)} beats, "
        f"{abnormal} of {scored} scored are abnormal ({kinds}); {out / 'report.html'}"
    )
    return "\n".join([one_line(line), *(f"  note: {one_line(note)}" for note in found.notes)])


if __name__ == "__main__":
    sys.exit(main())


_COMMANDS = {
    "train": train,
    "prepare": prepare,
    "evaluate": evaluate,
    "detect": detect,
    "review": review,
    "calibrate": calibrate,
    "ec57": ec57,
    "benchmark": benchmark,
    "study": study,
    "export": export,
    "import-beatgan": import_beatgan,
}
