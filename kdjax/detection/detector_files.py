"""A detector as plain files: networks and calibrations as NumPy archives, a card in JSON.

No pickle is read. `pack` gives the files of a detector that needs no run directory; the package
holds such detectors under kdjax/shipped, by name.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import kdjax
from kdjax.detection.detector import Detector
from kdjax.errors import InputError
from kdjax.files import DAMAGED_NPZ, json_bytes, read_npz, read_sealed, sha256, sha256_of, with_seal
from kdjax.models.sizes import GeneratorSizes
from kdjax.scores.calibration import Calibration
from kdjax.scores.fitted import FittedScore

CARD = "card.json"
WEIGHTS = "weights.npz"
CALIBRATION = "calibration.npz"

_FORMAT = 1
_FITTED = "score."  # what the names of a fitted score's arrays begin with
_SIZES = ("width", "latent_dim", "length", "channels", "output_bias")


def shipped() -> dict[str, Path]:
    """The folders of the detectors that come with the package, by name."""
    folders = (Path(kdjax.__file__).parent / "shipped").glob(f"*/{CARD}")
    return {card.parent.name: card.parent for card in sorted(folders)}


def is_shipped(name: str) -> bool:
    """Whether a detector of that name comes with the package, and no path is called so."""
    return not Path(name).exists() and name in shipped()


def shipped_one(name: str) -> Detector | None:
    """The shipped detector of that name, None where `is_shipped` denies it."""
    return replace(read(shipped()[name]), name=name) if is_shipped(name) else None


def pack(detector: Detector, card: Mapping[str, Any]) -> dict[str, bytes]:
    """File name -> content for a calibrated detector; `card` says in JSON what it is."""
    if detector.calibration is None:
        raise ValueError("only a calibrated detector can be packed")
    leaves = dict(_leaves(detector.variables))
    weights = io.BytesIO()
    np.savez_compressed(
        weights, allow_pickle=False, **{k: np.asarray(v) for k, v in leaves.items()}
    )
    files = {WEIGHTS: weights.getvalue(), CALIBRATION: calibration_bytes(detector.calibration)}
    about = {
        "format": _FORMAT,
        "generator": {name: getattr(detector.generator, name) for name in _SIZES},
        "threshold": detector.threshold,
        "sha256": {name: sha256_of(content) for name, content in files.items()},
        "card": dict(card),
    }
    return files | {CARD: json_bytes(with_seal(about))}


def read(folder: Path) -> Detector:
    """The detector of a packed folder; InputError where a file is missing or not as written."""
    about = read_card(folder)
    for name, recorded in about["sha256"].items():
        try:
            found = sha256(folder / name)
        except OSError as error:
            raise InputError(f"{folder / name}: {error.strerror}; install kdjax again") from error
        if found != recorded:
            raise InputError(f"{folder / name}: damaged; install kdjax again")
    variables = _tree(read_npz(folder / WEIGHTS))
    calibration = read_calibration(folder / CALIBRATION)
    sizes = GeneratorSizes(**about["generator"])
    return Detector(sizes, variables, about["threshold"], calibration)


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays of nested dictionaries by their path, as in 'params/encoder/head'."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}/")
        else:
            yield above + name, value


def _tree(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries of arrays by their path."""
    tree: dict[str, Any] = {}
    for path, value in leaves.items():
        *folders, name = path.split("/")
        inner = tree
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[name] = value
    return tree


def recalibrated(detector: Detector, file: Path) -> Detector:
    """The detector with the calibration in a file; InputError where that is of another network."""
    calibration = read_calibration(file)
    if detector.calibration is None or calibration.model != detector.calibration.model:
        raise InputError(f"{file}: made for another detector; make one with kdjax calibrate")
    return replace(detector, calibration=calibration)


def read_card(folder: Path) -> dict[str, Any]:
    """What a packed folder says of its detector; InputError where it cannot be read."""
    remedy = "install kdjax again"
    about = read_sealed(folder / CARD, remedy)
    if about.get("format") != _FORMAT:
        raise InputError(f"{folder / CARD}: its format is not {_FORMAT}; {remedy}")
    return about


def calibration_bytes(calibration: Calibration) -> bytes:
    """The calibration as a NumPy archive without pickles."""
    content = io.BytesIO()
    score = calibration.score
    np.savez_compressed(
        content,
        format=np.array(_FORMAT),
        kind=np.array(score.kind),
        adaptation=np.array(score.adaptation),
        normal=calibration.normal,
        moved=calibration.moved,
        leads=np.array(calibration.leads),
        beat=calibration.beat,
        model=np.array(calibration.model),
        source=np.array(calibration.source),
        allow_pickle=False,
        **{_FITTED + name: values for name, values in score.arrays.items()},
    )
    return content.getvalue()


def read_calibration(file: Path) -> Calibration:
    """The calibration in a file; InputError where it is missing or holds none."""
    try:
        arrays = read_npz(file)
        if int(arrays["format"]) != _FORMAT:
            raise InputError(
                f"{file}: written by another version of kdjax (its format is {arrays['format']}, "
                f"not {_FORMAT}); make it again with kdjax calibrate"
            )
        return Calibration(
            score=FittedScore(
                str(arrays["kind"]),
                str(arrays["adaptation"]),
                {
                    name.removeprefix(_FITTED): values
                    for name, values in arrays.items()
                    if name.startswith(_FITTED)
                },
            ),
            normal=arrays["normal"],
            moved=arrays["moved"],
            leads=tuple(map(str, arrays["leads"])),
            beat=arrays["beat"],
            model=str(arrays["model"]),
            source=str(arrays["source"]),
        )
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; make it with kdjax calibrate") from None
    except InputError:
        raise
    except IsADirectoryError:
        raise InputError(
            f"{file}: is a folder; name the .npz file that kdjax calibrate wrote"
        ) from None
    except DAMAGED_NPZ as error:
        raise InputError(
            f"{file}: not a calibration, or damaged; name an .npz file that kdjax calibrate wrote, "
            "or make it again"
        ) from error
