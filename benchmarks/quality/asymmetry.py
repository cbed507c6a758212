"""A teacher that has seen abnormal beats, a student that has not: is their discrepancy a score?

python -m benchmarks.quality.asymmetry --out docs/results/asymmetry.json

After Bergmann et al. (CVPR 2020) and Wang et al. (STFPM, BMVC 2021), who compare a student with a
teacher that knows more. The teacher learns from every beat of the training people, without labels;
the student learns what the teacher says of their normal beats: its reconstruction, its latent and
the attention maps of its stages. Labels enter where they always do: what is normal.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.quality import together
from benchmarks.quality.headline import Beats, Trial, scores, shapes
from benchmarks.shared import trial_arguments
from configs.study import WEIGHTS
from kdjax.models.distillation import Teacher, attention_maps
from kdjax.models.networks import Generator, GeneratorOutput
from kdjax.runs import evaluation
from kdjax.scores.fitted import Evidence
from kdjax.training.step import Variables

TERMS = {
    name: weight
    for term in ("reconstruction", "attention", "latent")
    for name, weight in WEIGHTS[term].items()
}
FORMS = ("student", "discrepancy", "attention")  # of `discrepancies`
_AT_ONCE = 1024  # beats

Answers = tuple[np.ndarray, np.ndarray, np.ndarray]  # reconstruction, latent, attention maps


def main() -> None:
    """Trains teachers and students, scores the test beats and writes the JSON."""
    args = trial_arguments(
        "The discrepancy of teacher and student as score", seeds=[60, 61, 62, 63, 64]
    )
    cells = together.cells_of(args.seeds, args.data_dir)
    trial = Trial(*evaluation.load_data(cells[0]))
    beats, parts = trial.beats, trial.parts
    people = np.unique(beats.record[parts.train])
    every = np.flatnonzero(np.isin(beats.record, people) & beats.near_peak)

    trainer, teachers = together.train(cells, beats.x[every])
    frozen = Teacher(trainer.generator, variables={"generator": together.stacked(teachers)})
    pupils = together.cells_of(args.seeds, args.data_dir, **TERMS)
    _, students = together.train(pupils, beats.x[parts.train], frozen)

    for of_teacher, of_student in zip(teachers, students, strict=True):
        found = [
            (index, discrepancies(trainer.generator, of_teacher, of_student, x=beats.x[index]))
            for index in (parts.calibrate, parts.test)
        ]
        forms = {
            form: Beats(*(_evidence(trial, index, pairs[form]) for index, pairs in found))
            for form in FORMS
        }
        own = {form: shapes(of_form) for form, of_form in forms.items()}
        for form, of_form in forms.items():
            trial.add(form, scores(of_form, own[form]))
        difference, alone = forms["discrepancy"], own["discrepancy"]
        trial.add("student and discrepancy", scores(difference, own["student"], alone))
        trial.add("no network and discrepancy", scores(difference, trial.raw_shapes, alone))
    trial.write(
        args.out,
        "python -m benchmarks.quality.asymmetry",
        seeds=args.seeds,
        width=together.WIDTH,
        epochs=together.EPOCHS,
        terms=TERMS,
        n_teacher=len(every),
        n_student=len(parts.train),
    )


def _evidence(trial: Trial, index: np.ndarray, pair: tuple[np.ndarray, np.ndarray]) -> Evidence:
    return Evidence(*pair, np.full(len(index), np.nan), **trial.place(index))


def discrepancies(
    generator: Generator, teacher: Variables, student: Variables, *, x: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What stands for a residual [B, T', C] and a latent [B, L] in each form, of beats [B, T, C].

    student: its own. discrepancy: the student's less the teacher's. attention: the discrepancy of
    the attention maps of all stages, and of the latents.
    """
    of_teacher, of_student = (answers(generator, one, x) for one in (teacher, student))
    x_hat, z, maps = (s - t for s, t in zip(of_student, of_teacher, strict=True))
    return {
        "student": (of_student[0] - x, of_student[1]),
        "discrepancy": (x_hat, z),
        "attention": (maps, z),
    }


def answers(generator: Generator, variables: Variables, x: np.ndarray) -> Answers:
    """Reconstructions [B, T, C], latents [B, L] and attention maps [B, sum of T_l, 1]."""
    parts = [
        jax.device_get(_answers(generator, variables, x[start : start + _AT_ONCE]))
        for start in range(0, len(x), _AT_ONCE)
    ]
    x_hat, z, maps = (np.concatenate(found) for found in zip(*parts, strict=True))
    return x_hat, z, maps


@partial(jax.jit, static_argnums=0)
def _answers(generator: Generator, variables: Any, x: jax.Array) -> Any:
    output = generator.apply(variables, x, train=False)
    assert isinstance(output, GeneratorOutput)
    maps = jnp.concatenate(attention_maps(output), axis=1)
    return output.x_hat, output.z, maps[:, :, None]


if __name__ == "__main__":
    main()
