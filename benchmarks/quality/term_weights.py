"""How strongly each distillation term pulls on an undistilled student, beside its own terms.

python -m benchmarks.quality.term_weights --study runs/study --out docs/results/term_weights.json

The weights in configs/study.py come from these norms: each term starts as strong as feature
matching. No label is looked at.
"""

import argparse
import datetime
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.shared import write_rows
from configs import study as configs_study
from kdjax.models.distillation import Teacher
from kdjax.runs import directory, evaluation, provenance
from kdjax.training import assemble
from kdjax.training.step import gradient_norms, init_state

TERMS = (
    "response",
    "log_ratio",
    "reconstruction",
    "feature",
    "latent",
    "relation",
    "discriminator_features",
)
BATCHES = 20


def main() -> None:
    """Writes the median norm of every term, at weight 1, over batches of training beats."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    study: Any = configs_study.get_config()
    config = study.base.copy_and_resolve_references()
    config.data.protocol, config.data.dir = "interpatient", args.data_dir
    for term in TERMS:
        config.kd[term] = 1.0
    beats, parts = evaluation.load_data(config)
    cells = args.study / "interpatient-0"
    student = directory.load_model(cells / "alone" / "seed0")
    norms: dict[str, dict[str, float]] = {}
    for name in ("teacher-8", "teacher-16"):
        teacher = directory.load_model(cells / name / "seed0")
        norms[name] = {}
        for scores in ("raw", "minmax", "standardised", "log"):
            config.kd.response_scores = scores
            found = medians(config, beats.x[parts.train], student, teacher=teacher)
            norms[name] |= {f"kd_response ({scores})": found.pop("kd_response")} | found
    out = {
        "command": "python -m benchmarks.quality.term_weights",
        "protocol": "interpatient",
        "student": "alone, seed 0",
        "batches": BATCHES,
        "norms": norms,
        **provenance.made_by(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_rows(args.out, out)


def medians(
    config: Any, x: np.ndarray, student: directory.Model, *, teacher: directory.Model
) -> dict[str, float]:
    """The median over batches of each term's gradient norm in the student's parameters."""
    trainer = assemble.make_trainer(config, x.shape[1:])
    frozen = Teacher(teacher.generator, teacher.discriminator, teacher.variables)
    state = init_state(trainer, jax.random.key(0), jnp.zeros(x.shape[2]), teacher=frozen)
    state = state.replace(**student.variables)
    of_batch = jax.jit(lambda batch: gradient_norms(trainer, state, frozen, x=batch))
    order = assemble.batch_order(config, len(x), 1)[:BATCHES]
    with assemble.products(config):
        rows = [of_batch(x[batch]) for batch in order]
    return {name: float(np.median([row[name] for row in rows])) for name in rows[0]}


if __name__ == "__main__":
    main()
