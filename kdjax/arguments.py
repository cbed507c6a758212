"""What the `kdjax` command and its subcommands take."""

import argparse
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import shtab

import kdjax
from kdjax.errors import one_line

_Commands = argparse._SubParsersAction


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage; takes no abbreviated options."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **named)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {one_line(message)}; see {self.prog} --help\n")

    def parse_known_args(self, *args: Any, **named: Any) -> Any:
        """Refuses what it does not know: argparse would leave that to the parser above."""
        namespace, unknown = super().parse_known_args(*args, **named)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._meant(unknown[0])}")
        return namespace, unknown

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Refuses empty values: '' would be the current folder, or an option as if not given."""
        if "" in arg_strings and action.nargs != argparse.PARSER:
            raise argparse.ArgumentError(action, "is empty; give a value, or leave it out")
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuses a value that is not among an argument's choices; names the nearest one."""
        if action.choices is not None and value not in action.choices:
            choices = list(map(str, action.choices))
            near = difflib.get_close_matches(str(value), choices, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(choices)}"
            raise argparse.ArgumentError(action, f"unknown value {value!r}; {hint}")

    def _meant(self, option: str) -> str:
        options = list(self._option_string_actions)
        near = difflib.get_close_matches(option.partition("=")[0], options, n=1)
        return f"; did you mean {near[0]}?" if near else ""


def parser(program: str = "kdjax") -> argparse.ArgumentParser:
    """The parser of the command and its subcommands; another program is `kdjax train`."""
    whole = _Parser(
        prog="kdjax",
        description="Find abnormal heartbeats in ECG recordings; train and export detectors.",
        epilog="kdjax COMMAND --help describes a command.",
    )
    whole.add_argument(
        "--version",
        action="version",
        version=f"kdjax {kdjax.__version__}",
        help="print the version",
    )
    shtab.add_argument_to(
        whole, ["--print-completion"], help="print the completion script of a shell"
    )
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (
        _detect,
        _review,
        _calibrate,
        _ec57,
        _prepare,
        _train,
        _evaluate,
        _benchmark,
        _study,
        _export,
        _import_beatgan,
    ):
        add(commands)
    _complete_files(commands.choices)
    if program != "kdjax":
        train = commands.choices["train"]
        train.prog = program
        train.epilog = f"example: python {program} --config configs/student.py --config.epochs=20"
    return whole


def _complete_files(commands: Mapping[str, argparse.ArgumentParser]) -> None:
    """A shell completes the names of files wherever a value is free."""
    for command in commands.values():
        for action in command._actions:
            if action.choices is None and action.nargs != 0 and action.type in (None, Path):
                # How shtab is told; argparse's own type does not know the attribute.
                action.complete = shtab.FILE  # type: ignore[attr-defined]


_RUN = "a finished run's directory, or mitbih-w8, which comes with kdjax"
_DATA_DIR = "folder of the prepared data (default: the config's data.dir)"


def _train(commands: _Commands) -> None:
    command = commands.add_parser(
        "train",
        help="train a teacher or a student",
        description="Train the networks that a config describes, or resume a stopped run.",
        epilog="example: kdjax train student:mitbih --set epochs=20 --workdir runs/mine",
    )
    command.add_argument(
        "config",
        nargs="?",
        metavar="CONFIG[:DATA]",
        help="a config file, or teacher, student or student_small; DATA: synthetic (default), "
        "mitbih, or the name of your prepared data",
    )
    command.add_argument("--config", dest="config_flag", help=argparse.SUPPRESS)
    command.add_argument(
        "--workdir", type=Path, metavar="DIR", help="run directory (default: runs/CONFIG-DATA)"
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change a field of the config, such as epochs=20; repeat it for several fields",
    )
    command.add_argument(
        "--overwrite", action="store_true", help="delete the run in --workdir and start again"
    )
    group = command.add_argument_group("several processes that train together")
    group.add_argument("--coordinator", metavar="HOST:PORT", help="address of process 0")
    group.add_argument("--processes", type=int, metavar="N", help="number of processes")
    group.add_argument("--process", type=int, metavar="K", help="number of this process, from 0")
    group.add_argument(
        "--cluster", action="store_true", help="take all three from SLURM or Open MPI"
    )


def _prepare(commands: _Commands) -> None:
    command = commands.add_parser(
        "prepare",
        help="make a data set of beats or windows",
        description="Make a data set for kdjax train; needed once for each data set.",
        epilog="example: kdjax prepare mitbih --download",
    )
    command.add_argument(
        "what",
        metavar="mitbih|FOLDER|FILE.npz",
        help="MIT-BIH, a folder of your own recordings, or windows of any signal",
    )
    source = command.add_mutually_exclusive_group()
    source.add_argument(
        "--from", dest="source", type=Path, metavar="DIR", help="folder of the MIT-BIH records"
    )
    source.add_argument(
        "--download", action="store_true", help="download MIT-BIH from PhysioNet (75 MB)"
    )
    command.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder to write to (default: $TFDS_DATA_DIR or ~/tensorflow_datasets)",
    )
    command.add_argument(
        "--name",
        help="name of your own data set, for kdjax train CONFIG:NAME: a letter, then letters, "
        "digits, _ or -",
    )
    own = command.add_argument_group("your own recordings")
    own.add_argument(
        "--classes",
        metavar="FILE",
        help="CSV or JSON that maps annotation symbols to classes (default: BeatGAN's map)",
    )
    own.add_argument(
        "--annotator", metavar="EXT", help="suffix of the WFDB annotation files (default: atr)"
    )
    _add_input(own)


def _evaluate(commands: _Commands) -> None:
    command = commands.add_parser(
        "evaluate",
        help="score a run's test beats again",
        description="Score a run's test beats again; rewrite its result.json, report.html and the "
        "files beside them.",
        epilog="example: kdjax evaluate runs/student-mitbih",
    )
    command.add_argument(
        "run_directory", type=Path, metavar="RUN", help="a trained run's directory"
    )
    command.add_argument("--data-dir", type=Path, metavar="DIR", help=_DATA_DIR)


def _detect(commands: _Commands) -> None:
    command = commands.add_parser(
        "detect",
        help="find abnormal beats in recordings",
        description="Find abnormal beats; write a folder with report.html for each recording.",
        epilog="example: kdjax detect mitbih-w8 my_record.hea",
    )
    command.add_argument("run_directory", metavar="RUN", help=_RUN)
    command.add_argument(
        "recording",
        type=Path,
        nargs="+",
        metavar="RECORDING|FOLDER",
        help="WFDB, EDF, BDF, ISHNE, CSV or NPY files, or folders of them",
    )
    command.add_argument(
        "--out",
        type=Path,
        default=Path("detections"),
        metavar="DIR",
        help="folder for the results (default: detections)",
    )
    _add_rule(command)
    command.add_argument(
        "--calibration", type=Path, metavar="FILE", help="the .npz file that kdjax calibrate wrote"
    )
    _add_earlier(command)
    command.add_argument(
        "--against",
        metavar="EXT",
        help="compare the result with the records' annotation files of this suffix, such as atr, "
        "as kdjax ec57 does",
    )
    _add_input(command)


def _add_rule(command: argparse.ArgumentParser) -> None:
    """Which beats are abnormal: by a share, by alarms an hour or by score."""
    rule = command.add_mutually_exclusive_group()
    rule.add_argument(
        "--fpr",
        type=float,
        metavar="SHARE",
        help="false-positive rate: the share of other people's normal beats, 0 to 1, that score "
        "above the threshold (default: 0.005)",
    )
    rule.add_argument(
        "--alarms-per-hour",
        type=float,
        metavar="N",
        help="instead of --fpr: the false alarms an hour to aim at, at least about 2",
    )
    rule.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="instead of --fpr: beats with a higher score are abnormal",
    )


def _add_earlier(command: argparse._ActionsContainer) -> None:
    command.add_argument(
        "--earlier",
        type=Path,
        metavar="FOLDER",
        help="a reviewed detection of the same person, whose family names are carried over",
    )


def _review(commands: _Commands) -> None:
    command = commands.add_parser(
        "review",
        help="apply decisions to a detection's files",
        description="Apply a reviewer's decisions to all files of a detection.",
        epilog="example: kdjax review detections/my_record --decisions review.json",
    )
    command.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="the folder that kdjax detect wrote for a recording",
    )
    given = command.add_mutually_exclusive_group()
    given.add_argument(
        "--decisions",
        type=Path,
        metavar="FILE",
        help="the file saved from report.html (default: FOLDER/review.json)",
    )
    given.add_argument(
        "--families", type=Path, metavar="FILE", help="a families.csv with edited kinds"
    )
    _add_earlier(given)


def _calibrate(commands: _Commands) -> None:
    command = commands.add_parser(
        "calibrate",
        help="adapt a detector to one person, without labels",
        description="Adapt a detector to one person by their own recordings, without labels.",
        epilog="example: kdjax calibrate mitbih-w8 my_record.hea --out me.npz",
    )
    command.add_argument("run_directory", metavar="RUN", help=_RUN)
    command.add_argument(
        "recording",
        type=Path,
        nargs="+",
        metavar="RECORDING|FOLDER",
        help="recordings of one person, or folders of them",
    )
    command.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="the .npz file to write, for kdjax detect --calibration",
    )
    _add_input(command)


def _ec57(commands: _Commands) -> None:
    command = commands.add_parser(
        "ec57",
        help="compare two annotators beat by beat and run by run",
        description="Compare two annotators by ANSI/AAMI EC57, beat by beat and run by run.",
        epilog="example: kdjax ec57 records/ --reference atr --test kdjax --detections detections",
    )
    command.add_argument(
        "records", type=Path, nargs="+", metavar="RECORDS", help="WFDB records, or folders of them"
    )
    command.add_argument(
        "--reference",
        default="atr",
        metavar="EXT",
        help="suffix of the reference annotations (default: atr)",
    )
    command.add_argument(
        "--test", required=True, metavar="EXT", help="suffix of the annotations to judge"
    )
    command.add_argument(
        "--detections",
        type=Path,
        metavar="DIR",
        help="folder that kdjax detect wrote to, if the test annotations are there (default: they "
        "are beside the records)",
    )
    command.add_argument(
        "--from",
        dest="start",
        default="5:00",
        metavar="TIME",
        help="where to begin, in seconds, M:SS or H:MM:SS (default: 5:00; 0 for all)",
    )
    command.add_argument(
        "--classes",
        choices=["wfdb", "aami"],
        default="wfdb",
        help="wfdb: escape beats (e, j) are S, as in bxb; aami: they are N, as in most papers and "
        "in the figures of kdjax (default: wfdb)",
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    command.add_argument("--csv", type=Path, metavar="FILE", help="write a row per record as CSV")


def _benchmark(commands: _Commands) -> None:
    command = commands.add_parser(
        "benchmark",
        help="compare the speed of runs",
        description="Compare the latency, throughput and size of detectors, timed in turn.",
        epilog="example: kdjax benchmark runs/student-mitbih mitbih-w8",
    )
    command.add_argument("run_directory", type=Path, nargs="+", metavar="RUN", help=_RUN)
    command.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the figures as JSON, and a picture of them beside it as .png",
    )


def _study(commands: _Commands) -> None:
    command = commands.add_parser(
        "study",
        help="train and compare a grid of variants over seeds",
        description="Train and compare a grid of variants over seeds, or resume a stopped study.",
        epilog="example: kdjax study study:confirm",
    )
    command.add_argument(
        "config",
        metavar="CONFIG[:PART]",
        help="a study's config file, or study; PART: one grid of it",
    )
    command.add_argument(
        "--workdir",
        type=Path,
        metavar="DIR",
        help="folder for its runs (default: runs/CONFIG-PART)",
    )
    command.add_argument("--data-dir", type=Path, metavar="DIR", help=_DATA_DIR)
    command.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="where to write the figures (default: DIR/study.json)",
    )


def _export(commands: _Commands) -> None:
    command = commands.add_parser(
        "export",
        help="export a run for use in other software",
        description="Export a run as ONNX, StableHLO or C, checked against the detector.",
        epilog="example: kdjax export mitbih-w8 --format onnx --out detector.onnx",
    )
    command.add_argument("run_directory", metavar="RUN", help=_RUN)
    command.add_argument(
        "--format", choices=["onnx", "stablehlo", "c"], required=True, help="what to write"
    )
    command.add_argument(
        "--int8", action="store_true", help="8-bit weights and activations; C always has them"
    )
    command.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="the file to write; for C, a new folder",
    )


def _import_beatgan(commands: _Commands) -> None:
    command = commands.add_parser(
        "import-beatgan",
        help="make a run from BeatGAN's PyTorch weights",
        description="Make a run directory from the weights of BeatGAN's PyTorch code.",
        epilog="example: kdjax import-beatgan --generator G.pkl --discriminator D.pkl --out RUN",
    )
    command.add_argument(
        "--generator", type=Path, required=True, metavar="G.pkl", help="weights of the generator"
    )
    command.add_argument(
        "--discriminator",
        type=Path,
        required=True,
        metavar="D.pkl",
        help="weights of the discriminator",
    )
    command.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="the new run directory"
    )
    command.add_argument(
        "--dataset",
        default="mitbih",
        metavar="NAME",
        help="prepared data to score it on (default: mitbih)",
    )


def _add_input(command: argparse._ActionsContainer) -> None:
    command.add_argument(
        "--lead",
        action="append",
        default=[],
        metavar="NAME",
        help="lead to read, by name or by number from 1; repeat the option for several leads",
    )
    command.add_argument(
        "--fs", type=float, metavar="HZ", help="sampling rate in Hz, if the file does not state it"
    )
    scale = command.add_mutually_exclusive_group()
    scale.add_argument(
        "--units", metavar="UNIT", help="unit of the samples: V, mV or uV; overrides the file's"
    )
    scale.add_argument(
        "--gain", type=float, metavar="N", help="instead of --units: A/D converter steps per mV"
    )


def of_flags(argv: Sequence[str]) -> list[str]:
    """The arguments of `kdjax train` for `--config FILE --config.a.b=value …`."""
    given, rest = list(argv), []
    while given:
        flag, equals, value = given.pop(0).partition("=")
        if flag == "--config" or flag.startswith("--config."):
            if not equals:
                value = given.pop(0) if given else ""
            field = flag.removeprefix("--config").removeprefix(".")
            if field:
                rest += ["--set", f"{field}={value}"]
            elif value:  # that the config is missing is said of no value and of an empty one
                rest += ["--config", value]
        else:
            rest.append(f"{flag}={value}" if equals else flag)
    return rest
