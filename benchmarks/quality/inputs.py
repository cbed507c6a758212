"""Does a network that sees more than one beat score better?

python -m benchmarks.quality.inputs --out docs/results/inputs.json

Beside the beat as it is, the network gets further channels: the person's own usual beat, or the
beats before and after. Only the residual of the beat itself is scored, and the latent.
"""

import numpy as np

from benchmarks.quality import together
from benchmarks.quality.headline import Beats, Trial, scores, shapes
from benchmarks.shared import trial_arguments
from kdjax.datasets.storage import BeatSet
from kdjax.detection.detector import Detector
from kdjax.runs import evaluation
from kdjax.scores.fitted import ADAPTATION_SECONDS, IN_TIME


def main() -> None:
    """Trains a network on each input, scores the test beats and writes the JSON after each."""
    args = trial_arguments("Networks that see more than one beat", seeds=[65, 66, 67, 68, 69])
    cells = together.cells_of(args.seeds, args.data_dir)
    trial = Trial(*evaluation.load_data(cells[0]))
    parts = trial.parts
    for form, x in inputs(trial.beats, trial.rhythm[:, 1]).items():
        print(form, flush=True)
        trainer, trained = together.train(cells, x[parts.train])
        for variables in trained:
            detector = Detector(trainer.generator, variables)
            evidence = []
            for index in (parts.calibrate, parts.test):
                whole = detector.evidence(x[index], **trial.place(index))
                evidence.append(whole._replace(residual=whole.residual[:, :, :1]))
            own = Beats(*evidence)
            trial.add(form, scores(own, shapes(own)))
        trial.write(
            args.out,
            "python -m benchmarks.quality.inputs",
            seeds=args.seeds,
            width=together.WIDTH,
            epochs=together.EPOCHS,
        )


def inputs(beats: BeatSet, prematurity: np.ndarray) -> dict[str, np.ndarray]:
    """What each network sees, by name: [B, T, 1 and more], the beat itself first."""
    x = beats.x[:, :, :1]
    return {
        "the beat": x,
        "the beat and the person's usual beat": np.concatenate(
            [x, usual_beats(beats, prematurity)], axis=2
        ),
        "the beat between its neighbours": np.concatenate([x, *neighbours(beats)], axis=2),
    }


def usual_beats(beats: BeatSet, prematurity: np.ndarray) -> np.ndarray:
    """The median of the person's beats in time in the first five minutes, for each [B, T, 1].

    Without labels. A person without such beats has the median of all of their beats.
    """
    x = beats.x[:, :, :1]
    found = np.empty_like(x)
    early = (beats.sample < ADAPTATION_SECONDS * beats.fs) & (prematurity < IN_TIME)
    for record in np.unique(beats.record):
        own = beats.record == record
        stand = own & early if (own & early).any() else own
        found[own] = np.median(x[stand], axis=0)
    return found


def neighbours(beats: BeatSet) -> tuple[np.ndarray, np.ndarray]:
    """The beats before and after [B, T, 1]; at the ends of a recording the beat itself."""
    x = beats.x[:, :, :1]
    before = np.maximum(np.arange(len(x)) - 1, 0)
    after = np.minimum(np.arange(len(x)) + 1, len(x) - 1)
    found = []
    for other in (before, after):
        same = beats.record[other] == beats.record
        found.append(x[np.where(same, other, np.arange(len(x)))])
    return found[0], found[1]


if __name__ == "__main__":
    main()
