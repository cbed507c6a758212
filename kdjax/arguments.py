"""What the `kdjax` command and its subcommands take."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import shtab

import kdjax
from kdjax.errors import one_line

_Commands = argparse._SubParsersAction


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {one_line(message)}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The parser of the command and its subcommands."""
    description = "BeatGAN in JAX: recordings to decisions, data, evaluation, studies, exports."
    whole = _Parser(prog="kdjax", description=description)
    whole.add_argument("--version", action="version", version=f"kdjax {kdjax.__version__}")
    shtab.add_argument_to(whole, ["--print-completion"], help="of bash, zsh or tcsh")
    commands = whole.add_subparsers(dest="command", required=True)
    for add in (
        _train,
        _prepare,
        _evaluate,
        _detect,
        _review,
        _calibrate,
        _ec57,
        _benchmark,
        _study,
        _export,
        _import_beatgan,
    ):
        add(commands)
    return whole


def _train(commands: _Commands) -> None:
    command = commands.add_parser(
        "train",
        help="train a teacher or a student",
        epilog="example: kdjax train student:mitbih --set epochs=20 --workdir runs/mine",
    )
    command.add_argument(
        "config", nargs="?", metavar="CONFIG[:DATA]", help="a file, or teacher, student, …"
    )
    command.add_argument("--config", dest="config_flag", help=argparse.SUPPRESS)
    command.add_argument(
        "--workdir", type=Path, metavar="DIR", help="default: runs/<config>-<data>"
    )
    command.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="for example epochs=20"
    )
    command.add_argument("--overwrite", action="store_true", help="delete the run there first")
    group = command.add_argument_group("several processes")
    group.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0")
    group.add_argument("--processes", type=int, metavar="N", help="how many train together")
    group.add_argument("--process", type=int, metavar="K", help="which of them this is, from 0")
    group.add_argument("--cluster", action="store_true", help="take these from SLURM or Open MPI")


def _prepare(commands: _Commands) -> None:
    command = commands.add_parser(
        "prepare",
        help="make a data set of beats or windows",
        epilog="example: kdjax prepare mitbih --download",
    )
    command.add_argument(
        "what",
        metavar="mitbih|FOLDER|FILE.npz",
        help="MIT-BIH, a folder with your own recordings, or windows of any kind",
    )
    source = command.add_mutually_exclusive_group()
    source.add_argument("--from", dest="source", type=Path, metavar="DIR", help="the WFDB records")
    source.add_argument("--download", action="store_true", help="from PhysioNet, 75 MB")
    command.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="default: where TFDS keeps it"
    )
    command.add_argument("--name", help="of your own data set, for kdjax train CONFIG:NAME")
    own = command.add_argument_group("own recordings")
    own.add_argument("--classes", metavar="FILE", help="symbol,class in CSV or JSON")
    own.add_argument("--annotator", metavar="EXT", help="of WFDB annotations, default: atr")
    _add_input(own)


def _evaluate(commands: _Commands) -> None:
    command = commands.add_parser(
        "evaluate",
        help="score a run's test beats",
        epilog="example: kdjax evaluate runs/student-mitbih",
    )
    command.add_argument("run_directory", type=Path, metavar="RUN")
    command.add_argument("--data-dir", type=Path, metavar="DIR", help="default: the config's")


def _detect(commands: _Commands) -> None:
    command = commands.add_parser(
        "detect",
        help="find abnormal beats in recordings",
        epilog="example: kdjax detect mitbih-w8 my_record.hea",
    )
    command.add_argument("run_directory", metavar="RUN", help="a run, or mitbih-w8")
    command.add_argument(
        "recording",
        type=Path,
        nargs="+",
        metavar="RECORDING|FOLDER",
        help="WFDB, EDF, BDF, ISHNE, CSV or NPY",
    )
    command.add_argument(
        "--out",
        type=Path,
        default=Path("detections"),
        metavar="DIR",
        help="for the results, default detections",
    )
    rule = command.add_mutually_exclusive_group()
    rule.add_argument("--fpr", type=float, help="of normal beats, default 0.0075")
    rule.add_argument(
        "--alarms-per-hour", type=float, metavar="N", help="false alarms to aim at, about 2 or more"
    )
    rule.add_argument("--threshold", type=float, metavar="SCORE", help="that abnormal beats exceed")
    command.add_argument(
        "--calibration", type=Path, metavar="FILE", help="written by kdjax calibrate"
    )
    command.add_argument(
        "--earlier", type=Path, metavar="FOLDER", help="a reviewed detection of the same person"
    )
    command.add_argument(
        "--against", metavar="EXT", help="compare with annotations beside the records, as atr"
    )
    _add_input(command)


def _review(commands: _Commands) -> None:
    command = commands.add_parser(
        "review",
        help="apply decisions to a detection's files",
        epilog="example: kdjax review detections/my_record --decisions review.json",
    )
    command.add_argument("folder", type=Path, metavar="FOLDER", help="that kdjax detect wrote")
    given = command.add_mutually_exclusive_group()
    given.add_argument(
        "--decisions", type=Path, metavar="FILE", help="of the page; default: FOLDER/review.json"
    )
    given.add_argument(
        "--families", type=Path, metavar="FILE", help="a families.csv with other kinds"
    )
    given.add_argument(
        "--earlier", type=Path, metavar="FOLDER", help="a reviewed detection of the same person"
    )


def _calibrate(commands: _Commands) -> None:
    command = commands.add_parser(
        "calibrate",
        help="move a detector to one person, without labels",
        epilog="example: kdjax calibrate mitbih-w8 my_record.hea --out me.npz",
    )
    command.add_argument("run_directory", metavar="RUN", help="a run, or mitbih-w8")
    command.add_argument("recording", type=Path, nargs="+", metavar="RECORDING")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .npz file")
    _add_input(command)


def _ec57(commands: _Commands) -> None:
    command = commands.add_parser(
        "ec57",
        help="compare two annotators beat by beat and run by run",
        epilog="example: kdjax ec57 records/ --reference atr --test kdjax",
    )
    command.add_argument(
        "records", type=Path, nargs="+", metavar="RECORDS", help="WFDB records, or folders of them"
    )
    command.add_argument("--reference", default="atr", metavar="EXT", help="default: atr")
    command.add_argument("--test", required=True, metavar="EXT", help="the annotator to judge")
    command.add_argument(
        "--detections", type=Path, metavar="DIR", help="where kdjax detect wrote; default: RECORDS"
    )
    command.add_argument(
        "--from", dest="start", default="5:00", metavar="TIME", help="default: 5:00; 0 for all"
    )
    command.add_argument(
        "--classes", choices=["wfdb", "aami"], default="wfdb", help="aami: e and j are N, not S"
    )
    command.add_argument("--json", type=Path, metavar="FILE")
    command.add_argument("--csv", type=Path, metavar="FILE")


def _benchmark(commands: _Commands) -> None:
    command = commands.add_parser(
        "benchmark",
        help="time runs side by side",
        epilog="example: kdjax benchmark runs/student-mitbih mitbih-w8",
    )
    command.add_argument("run_directory", type=Path, nargs="+", metavar="RUN")
    command.add_argument(
        "--json", type=Path, metavar="FILE", help="the table in full; a picture of it beside it"
    )


def _study(commands: _Commands) -> None:
    command = commands.add_parser(
        "study",
        help="train and compare a grid of variants over seeds",
        epilog="example: kdjax study study:confirm",
    )
    command.add_argument("config", metavar="FILE[:PART]", help="a file, or study")
    command.add_argument("--workdir", type=Path, metavar="DIR", help="default: runs/<config>")
    command.add_argument("--data-dir", type=Path, metavar="DIR", help="default: the config's")
    command.add_argument("--json", type=Path, metavar="FILE", help="default: DIR/study.json")


def _export(commands: _Commands) -> None:
    command = commands.add_parser(
        "export",
        help="write a run for other software to use",
        epilog="example: kdjax export mitbih-w8 --format onnx --out detector.onnx",
    )
    command.add_argument("run_directory", metavar="RUN", help="a run, or mitbih-w8")
    command.add_argument("--format", choices=["onnx", "stablehlo", "c"], required=True)
    command.add_argument("--int8", action="store_true", help="8 bits; C has no others")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="C: a folder")


def _import_beatgan(commands: _Commands) -> None:
    command = commands.add_parser(
        "import-beatgan",
        help="make a run of BeatGAN's PyTorch weights",
        epilog="example: kdjax import-beatgan --generator G.pkl --discriminator D.pkl --out RUN",
    )
    command.add_argument("--generator", type=Path, required=True, metavar="G.pkl")
    command.add_argument("--discriminator", type=Path, required=True, metavar="D.pkl")
    command.add_argument("--out", type=Path, required=True, metavar="RUN")
    command.add_argument(
        "--dataset", default="mitbih", metavar="NAME", help="the beats to score it on"
    )


def _add_input(command: argparse._ActionsContainer) -> None:
    command.add_argument(
        "--lead", action="append", default=[], metavar="NAME", help="or its number, from 1"
    )
    command.add_argument("--fs", type=float, metavar="HZ", help="where the file does not say")
    scale = command.add_mutually_exclusive_group()
    scale.add_argument("--units", metavar="UNIT", help="V, mV or uV; overrides the file's")
    scale.add_argument("--gain", type=float, metavar="N", help="or the converter's steps per mV")


def of_flags(argv: Sequence[str]) -> list[str]:
    """The arguments of `kdjax train` for `--config FILE --config.a.b=value …`."""
    given, rest = list(argv), []
    while given:
        flag, equals, value = given.pop(0).partition("=")
        if flag == "--config" or flag.startswith("--config."):
            if not equals:
                value = given.pop(0) if given else ""
            field = flag.removeprefix("--config").removeprefix(".")
            rest += ["--set", f"{field}={value}"] if field else ["--config", value]
        else:
            rest.append(f"{flag}={value}" if equals else flag)
    return rest
