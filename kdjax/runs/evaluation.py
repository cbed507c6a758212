"""A run directory with trained networks -> result.json, scores, figures and report."""

import datetime
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kdjax import datasets
from kdjax.datasets.protocols import Split, split
from kdjax.datasets.storage import BeatSet
from kdjax.detection import detector_files
from kdjax.detection.detector import Detector
from kdjax.errors import InputError, counted, one_line
from kdjax.files import json_bytes, sha256_of, with_seal, write_files
from kdjax.models.networks import Discriminator, Generator
from kdjax.pages import plots
from kdjax.runs import checkpoints, cost, directory, report
from kdjax.runs import config as configs
from kdjax.scores import calibration, fitted, metrics
from kdjax.scores.calibration import Calibration

Say = Callable[[str], None]

_SHOWN_BEATS = 4
_BATCH = 1024


def load_data(config: Mapping) -> tuple[BeatSet, Split]:
    """The beats and their split that a config names; InputError as `datasets.load` and `split`."""
    data = config["data"]
    beats = datasets.load(data["dataset"], data["dir"])
    return beats, split(beats, data["protocol"], data["fold"], split_seed=data["split_seed"])


def check_fingerprints(run: Path, recorded: Mapping, beats: BeatSet, *, parts: Split) -> None:
    """Raises InputError unless the prepared beats and their split are those that the run saw."""
    now = {"data": beats.fingerprint, "split": parts.fingerprint}
    for what, found in now.items():
        if recorded.get(what) not in (found, None):
            raise InputError(
                f"{run}: made with {what} {recorded[what][:12]}, the prepared {beats.name} beats "
                f"give {found[:12]}; prepare the same data again or name it with data.dir"
            )


class Evaluation(NamedTuple):
    """What a run came to, and the files that say so: name -> content, the result last."""

    result: dict[str, Any]
    files: dict[str, bytes]


def evaluate_run(run: Path, beats: BeatSet, parts: Split) -> dict[str, Any]:
    """Scores every test beat and writes what `evaluate` gives; gives the result."""
    found = evaluate(run, beats, parts)
    write(run, found)
    return found.result


def write(run: Path, found: Evaluation) -> None:
    """Writes an evaluation into its run, the result last: a run that has one is finished.

    Raises InputError when the run has been moved or deleted meanwhile: it is not made anew.
    """
    directory.check_there(run)
    if directory.CALIBRATION not in found.files:
        (run / directory.CALIBRATION).unlink(missing_ok=True)
    write_files({run / name: content for name, content in found.files.items()})


def evaluate(run: Path, beats: BeatSet, parts: Split) -> Evaluation:
    """Scores every test beat: the result, scores.npz, the calibration, figures and the report.

    The lines of metrics.jsonl are among the files: a finished run is not resumed, so nothing else
    would restore those that a power failure takes.

    Reads the networks from the run's checkpoints: the figures are those of what is on disk. Raises
    InputError when the checkpoints are damaged or belong to other beats.
    """
    config = directory.read_config(run)
    last = directory.load_model(run)
    check_fingerprints(run, last.progress["fingerprints"], beats, parts=parts)
    _check_size(run, last.generator, beats)
    detector = Detector(last.generator, last.variables["generator"])
    test, calibrate = parts.test, parts.calibrate
    label = beats.label[test]
    score = detector.score(beats.x[test]).astype(np.float64)
    calibrate_score = detector.score(beats.x[calibrate]).astype(np.float64)
    label_free = metrics.label_free(
        calibrate_score, label > 0, score, fpr_targets=config["eval"]["fpr_targets"]
    )
    thresholds = [row["threshold"] for row in label_free]
    result = {
        **quality(label, beats.record[test], score, thresholds=thresholds, classes=beats.classes),
        "label_free": label_free,
        "oracle": oracle(run, last.progress, beats, parts=parts),
        "n_test": len(test),
        "protocol": parts.protocol,
        "fold": parts.fold,
        "dataset": beats.name,
        "unit": beats.unit,
        "seed": config["seed"],
        "epochs": last.progress["epoch"],
        "epoch_seconds": last.progress["epoch_seconds"],
        **cost.of_generator(last.generator, last.variables["generator"]),
        **_origin(last, config, beats=beats, parts=parts),
    }
    rows = last.progress["rows"]
    files = {directory.METRICS: directory.metrics_bytes(rows)} if rows else {}
    found = calibrated(last, beats, parts)
    if found is not None:
        files[directory.CALIBRATION] = detector_files.calibration_bytes(found)
    files[directory.SCORES] = _score_bytes(
        beats, parts, score=score, calibrate_score=calibrate_score
    )
    for name, file in (("calibration", directory.CALIBRATION), ("scores", directory.SCORES)):
        content = files.get(file)
        digest = None if content is None else sha256_of(content)
        result["fingerprints"][name] = digest
    figures = draw(detector, beats, parts=parts, score=score, label_free=label_free, rows=rows)
    files |= {f"figures/{name}.png": png for name, png in figures.items()}
    files[directory.REPORT] = report.render(result, config, figures=figures).encode()
    sealed = with_seal(result)
    files[directory.RESULT] = json_bytes(sealed)
    return Evaluation(sealed, files)


def _check_size(run: Path, generator: Generator, beats: BeatSet) -> None:
    """Raises InputError unless the network takes such beats."""
    shape = generator.length, generator.channels
    if shape != beats.x.shape[1:]:
        raise InputError(
            f"{run}: its beats are of {shape[0]} samples and {shape[1]} leads, those of "
            f"{beats.name} of {beats.x.shape[1]} and {beats.x.shape[2]}; import it again, with "
            "--dataset and the name of such beats"
        )


def _origin(
    model: directory.Model, config: dict[str, Any], *, beats: BeatSet, parts: Split
) -> dict[str, Any]:
    """What a result comes from: fingerprints, versions, device and date."""
    made_by = model.progress["made_by"]
    return {
        "fingerprints": {
            "data": beats.fingerprint,
            "split": parts.fingerprint,
            "config": configs.fingerprint(config),
            "model": model.fingerprint,
            "teacher": model.progress["teacher"],
            "code": made_by["code"],
        },
        "versions": made_by["versions"],
        "device": made_by["device"],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _score_bytes(
    beats: BeatSet, parts: Split, *, score: np.ndarray, calibrate_score: np.ndarray
) -> bytes:
    """scores.npz: every test beat and every held-out beat with its score."""
    content = io.BytesIO()
    np.savez_compressed(
        content,
        index=parts.test,
        score=score,
        label=beats.label[parts.test],
        record=beats.record[parts.test],
        sample=beats.sample[parts.test],
        calibrate_index=parts.calibrate,
        calibrate_score=calibrate_score,
    )
    return content.getvalue()


def calibrated(model: directory.Model, beats: BeatSet, parts: Split) -> Calibration | None:
    """The calibration of a run's networks on `calibrate` beats.

    None where they are too few, and for windows that are no beats: its score weighs RR intervals.
    """
    index = parts.calibrate
    if len(index) < calibration.FEWEST or not beats.ecg:
        return None
    rhythm = fitted.rhythm(beats.record, beats.sample, beats.rr_before)
    found = evidence(model, beats, rhythm, index=index, features=False)
    source = f"{len(index)} normal beats of {beats.name}"
    return calibration.calibrate(
        found, beats.x[index], beats.leads, model=model.fingerprint, source=source
    )


def evidence(
    model: directory.Model,
    beats: BeatSet,
    rhythm: np.ndarray,
    *,
    index: np.ndarray,
    features: bool = True,
) -> fitted.Evidence:
    """What a run's networks make of the beats numbered [B]; `rhythm` is that of all beats.

    Without `features` the discriminator, half of the work, is not asked: its error is NaN.
    """
    x = beats.x[index]
    found = Detector(model.generator, model.variables["generator"]).evidence(
        x, rhythm[index], record=beats.record[index], sample=beats.sample[index], fs=beats.fs
    )
    if not features:
        return found
    error = np.empty(len(x), x.dtype)
    for start in range(0, len(x), _BATCH):
        part = slice(start, start + _BATCH)
        reconstructed = x[part] + found.residual[part]
        with jax.default_matmul_precision("float32"):  # as a Detector's
            error[part] = _feature_error(
                model.discriminator,
                model.variables["discriminator"],
                x[part],
                x_hat=reconstructed,
            )
    return found._replace(feature_error=error)


@partial(jax.jit, static_argnums=0)
def _feature_error(
    discriminator: Discriminator, variables: Any, x: jax.Array, *, x_hat: jax.Array
) -> jax.Array:
    """Mean (f(x_hat) - f(x))^2 over the discriminator's features of beats [B, T, C], each [B]."""
    real, fake = (
        discriminator.apply(variables, beats, train=False).features  # type: ignore[union-attr]
        for beats in (x, x_hat)
    )
    return jnp.mean(jnp.square(fake - real), axis=(1, 2))


def quality(
    label: np.ndarray,
    record: np.ndarray,
    score: np.ndarray,
    *,
    thresholds: list[float | None],
    classes: Sequence[str],
) -> dict[str, Any]:
    """What the scores [B] of labelled beats are worth, overall, by class and by record.

    AUC and AP are None where one of the two kinds of beat is missing, their intervals also where
    all beats are of one record.
    """
    abnormal = label > 0
    both = two_kinds(label)
    several = both and len(np.unique(record)) > 1
    return {
        "auc": metrics.auc(abnormal, score) if both else None,
        "ap": metrics.average_precision(abnormal, score) if both else None,
        "per_class": metrics.per_class(label, score, classes),
        "per_record": metrics.per_record(record, abnormal, score, thresholds=thresholds),
        "ci95": metrics.bootstrap_ci(record, abnormal, score)
        if several
        else {"auc": None, "ap": None},
    }


def two_kinds(label: np.ndarray) -> bool:
    """Whether normal and abnormal beats are among those labelled [B]: else there is no AUC."""
    return bool((label == 0).any() and (label > 0).any())


def oracle(run: Path, progress: Mapping, beats: BeatSet, *, parts: Split) -> dict[str, Any]:
    """The epoch that labelled validation beats prefer, the threshold that test labels prefer.

    All are None where there is no such epoch, or its checkpoint is lost, which a `note` says.
    """
    none = {"epoch": None, "auc": None, "ap": None, "best_f1": None, "best_threshold": None}
    if not progress.get("best_epoch") or not two_kinds(beats.label[parts.test]):
        return none
    try:
        best = directory.load_model(run, checkpoints.BEST)
    except (InputError, OSError) as error:
        return none | {"note": one_line(error)}
    score = Detector(best.generator, best.variables["generator"]).score(beats.x[parts.test])
    abnormal = beats.label[parts.test] > 0
    f1, threshold = metrics.best_f1(abnormal, score)
    return {
        "epoch": best.progress["epoch"],
        "auc": metrics.auc(abnormal, score),
        "ap": metrics.average_precision(abnormal, score),
        "best_f1": f1,
        "best_threshold": threshold,
    }


def draw(
    detector: Detector,
    beats: BeatSet,
    *,
    parts: Split,
    score: np.ndarray,
    label_free: list[dict],
    rows: list[dict],
) -> dict[str, bytes]:
    """The run's figures, name -> PNG, in the order they are shown."""
    label = beats.label[parts.test]
    order = np.argsort(score, kind="stable")
    shown = parts.test[np.concatenate([order[:_SHOWN_BEATS], order[-_SHOWN_BEATS:]])]
    x = beats.x[shown]
    thresholds = {
        f"label-free, target {_percent(row['fpr_target'])}": row["threshold"] for row in label_free
    }
    figures = {"roc_pr": plots.roc_pr(label > 0, score, beats.unit)} if two_kinds(label) else {}
    figures |= {
        "score_histogram": plots.score_histogram(
            label, score, thresholds, classes=beats.classes, unit=beats.unit
        ),
        "beats": plots.beats(
            x,
            detector.reconstruct(x),
            detector.score(x),
            label=beats.label[shown],
            record=beats.record[shown],
            sample=beats.sample[shown],
            fs=beats.fs if beats.ecg else None,
            classes=beats.classes,
        ),
    }
    if rows:
        figures["loss_curves"] = plots.loss_curves(rows)
    return {name: plots.png(figure) for name, figure in figures.items()}


def result_block(result: Mapping) -> str:
    """The lines that people who come from BeatGAN know, and what they are worth."""
    best, unit = result["oracle"], result.get("unit", "beat")
    ci, records = result["ci95"], len(result["per_record"])
    classes = "  ".join(
        f"{name} {row['auc']:.4f} (n {row['n']})"
        for name, row in result["per_class"].items()
        if row["auc"] is not None
    )
    lines = [
        "#" * 29,
        f"########  Result  ########   {result['dataset']}, {result['protocol']}, "
        f"fold {result['fold']}, {counted(result['epochs'], 'epoch')}, "
        f"{counted(result['n_test'], f'test {unit}')}",
    ]
    if result["auc"] is None:
        lines += [
            f"no AUC: among the test {unit}s none is annotated as abnormal, or none as normal"
        ]
    else:
        lines += [
            f"ap: {result['ap']:.4f}   {_interval(ci['ap'], records)}",
            f"auc: {result['auc']:.4f}  {_interval(ci['auc'], records)}",
            f"auc by class: {classes}",
        ]
    for row in result["label_free"]:
        figures = [
            f"{name} {row[key]:{form}}"
            for name, key, form in (
                ("false alarms", "fpr", ".2%"),
                ("recall", "recall", ".2%"),
                ("f1", "f1", ".4f"),
            )
            if row[key] is not None
        ]
        threshold = f"{_percent(row['fpr_target'])} false alarms: {_number(row['threshold'])}"
        lines.append(f"label-free th for {threshold} --> {', '.join(figures)}")
        if row["fpr"] is not None and row["fpr"] > max(5 * row["fpr_target"], 0.1):
            lines.append(
                f"  that threshold does not hold here: {_percent(row['fpr'])} of normal test "
                f"{unit}s, not {_percent(row['fpr_target'])}, exceed it; they differ from those it "
                "was set on"
            )
    if best["epoch"] is not None:
        lines += [
            f"oracle (needs labelled anomalies): epoch {best['epoch']}, auc {best['auc']:.4f}, "
            f"ap {best['ap']:.4f}",
            f"best th:{best['best_threshold']:.6f} --> best f1:{best['best_f1']:.4f}",
        ]
    elif best.get("note"):
        lines.append(f"no oracle: {best['note']}")
    return "\n".join([*lines, "#" * 29])


def beside_teacher(student: Mapping, teacher: Mapping) -> str:
    """A table of a student and its teacher; of one seed each, so no gain is claimed."""
    rows = [
        f"{name:9}"
        + "".join(f"{'-' if r[key] is None else format(r[key], '.4f'):>8}" for key in ("auc", "ap"))
        for name, r in (("teacher", teacher), ("student", student))
    ]
    last = "One seed each: their difference is not a gain."
    return "\n".join(["           auc     ap", *rows, last])


_FEW_RECORDS = 8  # a bootstrap over fewer says little of other people


def _interval(bounds: list[float] | None, records: int) -> str:
    if not bounds:
        return "[no interval: one record]"
    few = f" (over {records} records only)" if records < _FEW_RECORDS else ""
    return f"[{bounds[0]:.4f}, {bounds[1]:.4f}]{few}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6f}"
