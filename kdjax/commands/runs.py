"""Commands on runs: train, prepare, evaluate, study, benchmark, export, import-beatgan."""

import argparse
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdjax import signals
from kdjax.commands.status import status_of
from kdjax.errors import InputError, one_line
from kdjax.files import check_folder, check_output, write_json


def train(args: argparse.Namespace) -> int:
    """Trains what a config describes; continues a run that was stopped."""
    from kdjax.runs import config as configs
    from kdjax.runs import config_file

    given = args.config or args.config_flag
    if not given:
        raise InputError("the config is missing; give one, for example student or student:mitbih")
    config = config_file.load(given)
    if "base" in config:
        raise InputError(f"{given}: is the config of a study; use kdjax study")
    config_file.override(config, args.set)
    configs.check(config)
    name = Path(given.partition(":")[0]).stem
    workdir = args.workdir or Path("runs") / f"{name}-{config.data.dataset}"
    process = {
        name: getattr(args, name) for name in ("coordinator", "processes", "process", "cluster")
    }
    _check_training(config, workdir, args.overwrite, process=process)

    from kdjax.training import loop, processes

    def work() -> int:
        processes.join(**process)
        try:
            loop.train(config, workdir, args.overwrite)
        except loop.Stopped as stopped:
            print(stopped, file=sys.stderr)
            return 128 + stopped.signum
        return 0

    status = 1
    try:
        status = status_of(args, work)  # said before the other processes are left
    finally:
        processes.leave(status)
    return status


def _check_training(
    config: Any, workdir: Path, overwrite: bool, *, process: dict[str, Any]
) -> None:
    """Refuses what cannot be trained before anything slow is imported; `loop.train` checks again.

    The config itself is known to be sound.

    Processes that train together check the run directory in turn, once they have met.
    """
    from kdjax.runs import claim, directory
    from kdjax.training import joining

    joining.check(**process)
    if not any(process.values()):
        claim.check_directory(config, workdir, overwrite)
    if overwrite or not (workdir / directory.RESULT).exists():
        from kdjax import datasets

        datasets.check_prepared(config.data.dataset, config.data.dir)


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
            raise InputError(f"mitbih takes no {strange}; for a folder of that name, give ./mitbih")
        rows = datasets.prepare_mitbih(args.source, args.data_dir, args.download)
    elif args.source is not None or args.download:
        raise InputError(
            f"{args.what}: --from and --download are for kdjax prepare mitbih only; leave them out"
        )
    elif args.name is None:
        raise InputError(
            f"{args.what}: your own data needs a name; give one, for example --name mine"
        )
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
    """Scores a run's test beats again and prints its result."""
    from kdjax.detection import detector_files
    from kdjax.runs import directory

    run = args.run_directory
    if detector_files.is_shipped(str(run)):
        raise InputError(
            f"{run}: is a shipped detector, which has no test beats; give a run directory of "
            "kdjax train"
        )
    directory.check_run(run)
    config = directory.read_config(run)
    if args.data_dir is not None:
        config["data"]["dir"] = str(args.data_dir)

    from kdjax.runs import evaluation
    from kdjax.training import compilation

    compilation.keep_programs()
    # Before the data, so that a damaged run is told at once.
    if directory.load_model(run).progress["epoch"] < config["epochs"]:
        raise InputError(f"{run}: {directory.remedy(run)}")
    beats, parts = evaluation.load_data(config)
    evaluated = evaluation.evaluate(run, beats, parts)
    print(evaluation.result_block(evaluated.result))
    evaluation.write(run, evaluated)  # after it: the disk may be full, or read-only


def study(args: argparse.Namespace) -> None:
    """Trains and scores what a study still lacks; writes its figures, also when stopped."""
    from kdjax.runs import config_file
    from kdjax.study import grid

    config = config_file.load(args.config)
    if "base" not in config:
        raise InputError(f"{args.config}: is the config of a training; use kdjax train")
    if args.data_dir is not None:
        config.base.data.dir = str(args.data_dir)
    path, _, part = args.config.partition(":")
    workdir = args.workdir or Path("runs") / "-".join(filter(None, (Path(path).stem, part)))
    out = args.json or workdir / "study.json"
    check_folder(workdir)
    check_output(out, ".json", begins=b"{")
    grid.check(config)

    from kdjax import datasets

    datasets.check_prepared(config.base.data.dataset, config.base.data.dir)

    from kdjax.study import cells as studies
    from kdjax.study import comparison
    from kdjax.training import compilation

    compilation.keep_programs()
    try:
        with signals.interrupting():
            studies.run_study(config, workdir, lambda line: print(line, flush=True))
    finally:  # what there is, also where a cell has failed
        result = grid.gather(config, workdir)
        write_json(out, {"command": f"kdjax study {args.config}"} | result)
        print("\n\n".join([comparison.table(split) for split in result["splits"]] + [str(out)]))
        if result["missing"]:
            left = f"not yet trained: {len(result['missing'])} groups of cells"
            print(f"{left}; run the same command again to continue", file=sys.stderr)


def benchmark(args: argparse.Namespace) -> None:
    """Times runs in turn, prints a table, and writes it with a picture if asked to."""
    from kdjax.detection import detector_files
    from kdjax.runs import directory

    if args.json is not None:
        check_output(args.json, ".json", begins=b"{")
    for run in args.run_directory:
        if not detector_files.is_shipped(str(run)):
            directory.check_run(run)

    from kdjax.runs import cost

    timed = cost.benchmark(args.run_directory, lambda line: print(line, file=sys.stderr))
    print(cost.table(timed["rows"]))
    if args.json is not None:
        from kdjax.pages import plots

        write_json(args.json, timed)
        plots.save(plots.bars(cost.panels(timed["rows"])), args.json.with_suffix(".png"))


def export(args: argparse.Namespace) -> None:
    """Writes a run as one file or as a folder of C, checked against the Detector."""
    from kdjax.detection import detector_files
    from kdjax.runs import directory

    if args.format == "c":
        check_folder(args.out.parent)
    else:
        check_output(args.out, f".{args.format}")
    if not detector_files.is_shipped(args.run_directory):
        directory.check_finished(Path(args.run_directory))

    from kdjax.runs import export as exports

    if args.format == "c":
        parity = exports.export_c(args.run_directory, args.out)
        alike = f"{parity.beats - parity.differ} of {parity.beats}"
        near = "; the others are near the threshold" if parity.differ else ""
        print(
            f"{args.out}: {alike} decisions equal the run's{near}; scores differ by at most "
            f"{parity.most:.2g}"
        )
        return
    error = exports.export(args.run_directory, args.format, args.out, int8=args.int8)
    if not detector_files.is_shipped(args.run_directory):
        _say_rate(directory.read_result(Path(args.run_directory)))
    print(f"{args.out}: decisions equal the run's; scores differ by at most a relative {error:.0e}")


def _say_rate(result: Mapping[str, Any]) -> None:
    """Says at which rate a run decides, where it is not the first that was asked for."""
    from kdjax.runs import directory

    first, used = result["label_free"][0], directory.decided_by(result)
    if used is not first:
        print(
            f"note: the threshold is that for a false-positive rate of {used['fpr_target']:g}; "
            f"what was held out is too little for {first['fpr_target']:g}",
            file=sys.stderr,
        )


def import_beatgan(args: argparse.Namespace) -> None:
    """Makes a run directory of BeatGAN's PyTorch checkpoints."""
    for file in (args.generator, args.discriminator):
        if not file.is_file():
            raise InputError(f"{file}: no such file; give the file that BeatGAN saved")

    from kdjax.runs import interop

    interop.import_run(args.generator, args.discriminator, args.out, dataset=args.dataset)
    print(f"{args.out}: holds the imported networks; now run kdjax evaluate {args.out}")
