"""The `kdjax` command. Each subcommand is one function of the parsed arguments."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from kdjax.errors import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand; the exit status: 0 done, 2 the input is wrong, said in one line."""
    args = _parser().parse_args(argv)
    try:
        args.run(args)
    except InputError as error:
        print(f"kdjax {args.command}: {_line(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}; make room or choose another folder"
        print(f"kdjax {args.command}: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def prepare(args: argparse.Namespace) -> None:
    """Makes the MIT-BIH data set and prints what each record gave."""
    from kdjax import datasets

    rows = datasets.prepare_mitbih(args.source, args.data_dir, args.download)
    print(_table([*rows, _total(rows)]))


def evaluate(args: argparse.Namespace) -> None:
    """Scores a run's test beats anew and prints the result block."""
    from kdjax import evaluation, runs

    config = runs.read_config(args.run_directory)
    model = runs.load_model(args.run_directory)  # before the data: a damaged run is told at once
    if model.progress["epoch"] < config["epochs"]:
        raise InputError(
            f"{args.run_directory}: {model.progress['epoch']} of {config['epochs']} epochs are "
            "trained; finish it with train.py"
        )
    if args.data_dir is not None:
        config["data"]["dir"] = str(args.data_dir)
    beats, parts = evaluation.load_data(config)
    print(evaluation.result_block(evaluation.evaluate_run(args.run_directory, beats, parts)))


def detect(args: argparse.Namespace) -> None:
    """Finds abnormal beats in recordings, writes a folder for each, and says what was found."""
    from dataclasses import replace

    from kdjax import detection, detection_files, detector_files, runs

    detector = runs.load_run(args.run_directory)
    if args.calibration is not None:
        detector = replace(detector, calibration=detector_files.read_calibration(args.calibration))
    made_by, refused = runs.made_by(), 0
    paths = _recordings(args.recording)
    for path, name in zip(paths, _names(paths), strict=True):
        try:
            source = _source(path, args)
            with _bar(source.name, source.length) as progress:
                found = detection.detect(
                    detector,
                    source,
                    args.lead,
                    args.fpr,
                    args.alarms_per_hour,
                    args.threshold,
                    str(args.run_directory),
                    made_by,
                    progress,
                )
            detection_files.write(found, args.out / name)
        except InputError as error:
            if len(paths) == 1:
                raise
            refused += 1
            print(f"kdjax detect: {_line(error)}", file=sys.stderr)
        else:
            print(_in_short(found, args.out / name))
    if refused:
        raise InputError(f"{args.recording}: {refused} of {len(paths)} recordings were refused")


def calibrate(args: argparse.Namespace) -> None:
    """Moves a detector to one person by recordings that nobody labelled."""
    from kdjax import calibration, detection, detector_files, runs

    detector = runs.load_run(args.run_directory)
    sources = [_source(path, args) for given in args.recording for path in _recordings(given)]
    with _bar("calibrating", sum(source.length for source in sources)) as progress:
        found = detection.calibrate(detector, sources, args.lead, progress)
    runs.write_bytes(args.out, detector_files.calibration_bytes(found))
    print(
        f"{args.out}: {found.source}; {len(found.normal)} beats give the thresholds\n"
        f"for a false-positive rate of {detection.FPR:.0%} the threshold is "
        f"{found.threshold(detection.FPR):.4g}. Beats of this recording that are abnormal raise it:"
    )
    for share in (0.0, 0.002, 0.005, 0.01, 0.05):
        realised = calibration.realised_fpr(detection.FPR, share)
        print(f"  {share:5.1%} abnormal among them: {realised:.2%} of the normal beats above it")


def import_beatgan(args: argparse.Namespace) -> None:
    """Makes a run directory of BeatGAN's PyTorch checkpoints."""
    from kdjax import interop

    interop.import_run(args.generator, args.discriminator, args.out)
    print(f"{args.out}: a run of the imported networks; score it with kdjax evaluate {args.out}")


def export(args: argparse.Namespace) -> None:
    """Writes a run as one file for other software, checked against the Detector."""
    from kdjax import export as exports

    about = exports.export(args.run_directory, args.format, args.out)
    print(f"{args.out}: checked against the run; abnormal above a score of {about['threshold']:.6g}")


def study(args: argparse.Namespace) -> None:
    """Trains and scores what a study still lacks, and writes what it says, also when stopped."""
    from kdjax import comparison, runs
    from kdjax import study as studies

    config = studies.read_config(args.config)
    if args.data_dir is not None:
        config.base.data.dir = str(args.data_dir)
    path, _, part = args.config.partition(":")
    workdir = args.workdir or Path("runs") / "-".join(filter(None, (Path(path).stem, part)))
    stopped = False
    try:
        studies.run_study(config, workdir, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        stopped = True
    result = studies.gather(config, workdir)
    out = args.json or workdir / "study.json"
    runs.write_json(out, {"command": f"kdjax study {args.config}"} | result)
    print("\n\n".join([comparison.table(split) for split in result["splits"]] + [str(out)]))
    if stopped:
        left = f"{len(result['missing'])} groups of cells are not made"
        print(f"stopped, {left}; type the same command to go on", file=sys.stderr)
        raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    description = "BeatGAN in JAX: data, evaluation, studies and imports."
    parser = _Parser(prog="kdjax", description=description)
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("prepare", help="make a data set of beats")
    command.add_argument("name", choices=["mitbih"])
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("--from", dest="source", type=Path, metavar="DIR", help="the WFDB records")
    source.add_argument("--download", action="store_true", help="from PhysioNet, 75 MB")
    command.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="default: where TFDS keeps it"
    )
    command.set_defaults(run=prepare)

    command = commands.add_parser("evaluate", help="score a run's test beats")
    command.add_argument("run_directory", type=Path, metavar="RUN")
    command.add_argument("--data-dir", type=Path, metavar="DIR", help="default: the config's")
    command.set_defaults(run=evaluate)

    command = commands.add_parser("detect", help="find abnormal beats in recordings")
    command.add_argument("run_directory", metavar="RUN", help="a run, or mitbih-w8")
    command.add_argument(
        "recording", type=Path, metavar="RECORDING", help="WFDB, EDF, CSV or NPY, or a folder"
    )
    command.add_argument("--out", type=Path, default=Path("detections"), metavar="DIR")
    rule = command.add_mutually_exclusive_group()
    rule.add_argument("--fpr", type=float, help="of normal beats, default 0.01")
    rule.add_argument("--alarms-per-hour", type=float, metavar="N", help="false ones, at most")
    rule.add_argument("--threshold", type=float, metavar="SCORE")
    command.add_argument("--calibration", type=Path, metavar="FILE", help="of kdjax calibrate")
    _add_input(command)
    command.set_defaults(run=detect)

    command = commands.add_parser("calibrate", help="move a detector to one person, without labels")
    command.add_argument("run_directory", metavar="RUN", help="a run, or mitbih-w8")
    command.add_argument("recording", type=Path, nargs="+", metavar="RECORDING")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .npz file")
    _add_input(command)
    command.set_defaults(run=calibrate)

    command = commands.add_parser("study", help="train and compare a grid of variants over seeds")
    command.add_argument("config", metavar="FILE[:PART]", help="for example configs/study.py")
    command.add_argument("--workdir", type=Path, metavar="DIR", help="default: runs/<config>")
    command.add_argument("--data-dir", type=Path, metavar="DIR", help="default: the config's")
    command.add_argument("--json", type=Path, metavar="FILE", help="default: DIR/study.json")
    command.set_defaults(run=study)

    command = commands.add_parser("export", help="write a run for other software to use")
    command.add_argument("run_directory", metavar="RUN")
    command.add_argument("--format", choices=["onnx", "stablehlo"], required=True)
    command.add_argument("--out", type=Path, required=True, metavar="FILE")
    command.set_defaults(run=export)

    command = commands.add_parser("import-beatgan", help="make a run of BeatGAN's PyTorch weights")
    command.add_argument("--generator", type=Path, required=True, metavar="G.pkl")
    command.add_argument("--discriminator", type=Path, required=True, metavar="D.pkl")
    command.add_argument("--out", type=Path, required=True, metavar="RUN")
    command.set_defaults(run=import_beatgan)
    return parser


def _add_input(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--lead", action="append", default=[], metavar="NAME", help="or its number, from 1"
    )
    command.add_argument("--fs", type=float, metavar="HZ", help="where the file does not say")
    command.add_argument("--units", metavar="UNIT", help="V, mV or uV, where it does not say")


def _recordings(given: Path) -> list[Path]:
    from kdjax import recordings

    return recordings.find_sources(given) if given.is_dir() else [given]


def _source(path: Path, args: argparse.Namespace) -> Any:
    from kdjax import recordings

    return recordings.open_source(path, args.fs, args.units)


def _names(paths: Sequence[Path]) -> list[str]:
    """A folder's name for each recording: its stem, or all of its name where two share a stem."""
    stems = [path.stem for path in paths]
    return [p.stem if stems.count(p.stem) == 1 else p.name for p in paths]


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
    line = (
        f"{found.recording}: {found.seconds / 3600:.2f} h, {len(beats.sample)} beats, "
        f"{abnormal} of {scored} scored are abnormal; {out / 'report.html'}"
    )
    return "\n".join([line, *(f"  note: {note}" for note in found.notes)])


def _line(error: InputError) -> str:
    return " ".join(str(error).split())


def _total(rows: Sequence[dict]) -> dict:
    """The table's last row: sums, and the share of all beats that is lost."""
    counts = {name: sum(row[name] for row in rows) for name in rows[0] if name != "record"}
    dropped = counts["no whole window"] + counts["far from an R-peak"]
    kept = sum(n for name, n in counts.items() if len(name) == 1)
    return {"record": "all"} | counts | {"lost": dropped / (kept + dropped)}


def _table(rows: Sequence[dict]) -> str:
    """Rows of the same keys as columns of text; 'lost' is a share."""
    cells = [
        [f"{value:.1%}" if name == "lost" else str(value) for name, value in row.items()]
        for row in rows
    ]
    names = list(rows[0])
    widths = [max(len(line[i]) for line in [names, *cells]) for i in range(len(names))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in [names, *cells]
    )


if __name__ == "__main__":
    sys.exit(main())
