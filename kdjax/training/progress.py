"""What a checkpoint holds of a training: its state and how far it has come."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdjax.beats import WINDOW
from kdjax.runs import checkpoints
from kdjax.training.step import TrainState, Variables

KEPT_CHECKPOINTS = 2


@dataclass(kw_only=True)
class Progress:
    """What a checkpoint notes beside the weights, so that a resumed run ends like any other.

    epoch: epochs finished; sums: metrics summed over the `done` steps of the unfinished epoch,
    which took `seconds`; rows: the lines of metrics.jsonl.
    """

    channels: int
    length: int = WINDOW  # the default is that of checkpoints that do not note it
    ecg: bool = True
    fingerprints: dict[str, str]
    teacher: str | None
    made_by: dict[str, Any]
    epoch: int = 0
    done: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    best_auc: float = -1.0
    best_epoch: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, means: dict[str, float], steps: int, seconds: float) -> None:
        """Counts a chunk of steps of the unfinished epoch, with the mean of each metric over it."""
        for name, value in means.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * steps
        self.done += steps
        self.seconds += seconds

    def row(self, figures: dict[str, float]) -> dict[str, Any]:
        """The line of metrics.jsonl of an epoch whose steps are done, with more figures of it."""
        means = {name: total / self.done for name, total in self.sums.items()}
        return {"epoch": self.epoch + 1, "seconds": self.seconds, **means, **figures}

    def finish(self, epoch: int) -> None:
        """Ends an epoch; the next one begins with clean sums."""
        self.epoch, self.done, self.seconds, self.sums = epoch, 0, 0.0, {}

    def plain(self) -> dict[str, Any]:
        """As JSON holds it, with an epoch's median time; the first, which compiles, left out."""
        times = [row["seconds"] for row in self.rows]
        typical = times[1:] or times
        return vars(self) | {"epoch_seconds": float(np.median(typical)) if typical else None}

    @classmethod
    def read(cls, plain: dict[str, Any]) -> "Progress":
        """The opposite of `plain`."""
        return cls(**{name: value for name, value in plain.items() if name != "epoch_seconds"})


def write_state(
    folder: Path, step: int, host: TrainState, *, progress: dict[str, Any], keep: int
) -> None:
    """A checkpoint of all that training changes, of NumPy arrays; see `runs.save_checkpoint`."""
    checkpoints.save_checkpoint(
        folder, step, model_tree(host), optimizer=_optimizer(host), progress=progress, keep=keep
    )


def read_state(checkpoint: Path, like: TrainState) -> TrainState:
    """The opposite of `write_state`, of a verified checkpoint, in the shapes of `like`.

    Raises InputError when they do not fit.
    """
    model = checkpoints.read_model(checkpoint, model_tree(like))
    optimizer = checkpoints.read_optimizer(checkpoint, _optimizer(like))
    return TrainState(
        step=optimizer["step"],
        generator=optimizer.get("unaveraged", model["generator"]),
        discriminator=model["discriminator"],
        projection=optimizer["projection"],
        generator_opt=optimizer["generator"],
        discriminator_opt=optimizer["discriminator"],
        projection_opt=optimizer["projection_opt"],
        average=model["generator"] if "unaveraged" in optimizer else {},
    )


def model_tree(state: TrainState) -> dict[str, Variables]:
    """The variables of both networks, as a checkpoint holds them."""
    return {"generator": state.trained, "discriminator": state.discriminator}


def _optimizer(state: TrainState) -> dict[str, Any]:
    unaveraged = {"unaveraged": state.generator} if state.average else {}
    return unaveraged | {
        "step": state.step,
        "generator": state.generator_opt,
        "discriminator": state.discriminator_opt,
        "projection": state.projection,
        "projection_opt": state.projection_opt,
    }
