"""The `kdjax` command. Each subcommand is one function of the parsed arguments."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from kdjax.errors import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand; the exit status: 0 done, 2 the input is wrong, said in one line."""
    args = _parser().parse_args(argv)
    try:
        args.run(args)
    except InputError as error:
        print(f"kdjax {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
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


def import_beatgan(args: argparse.Namespace) -> None:
    """Makes a run directory of BeatGAN's PyTorch checkpoints."""
    from kdjax import interop

    interop.import_run(args.generator, args.discriminator, args.out)
    print(f"{args.out}: a run of the imported networks; score it with kdjax evaluate {args.out}")


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

    command = commands.add_parser("study", help="train and compare a grid of variants over seeds")
    command.add_argument("config", metavar="FILE[:PART]", help="for example configs/study.py")
    command.add_argument("--workdir", type=Path, metavar="DIR", help="default: runs/<config>")
    command.add_argument("--data-dir", type=Path, metavar="DIR", help="default: the config's")
    command.add_argument("--json", type=Path, metavar="FILE", help="default: DIR/study.json")
    command.set_defaults(run=study)

    command = commands.add_parser("import-beatgan", help="make a run of BeatGAN's PyTorch weights")
    command.add_argument("--generator", type=Path, required=True, metavar="G.pkl")
    command.add_argument("--discriminator", type=Path, required=True, metavar="D.pkl")
    command.add_argument("--out", type=Path, required=True, metavar="RUN")
    command.set_defaults(run=import_beatgan)
    return parser


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
