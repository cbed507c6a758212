"""The whole compiled chunk of steps lowers for accelerators, on a machine without one."""

from dataclasses import fields
from functools import partial

import jax
import jax.numpy as jnp

from kdjax.models.distillation import Distillation, Teacher
from kdjax.models.networks import Discriminator, Generator
from kdjax.training.step import Trainer, adam, fresh_state, run_steps

BEATS, BATCH, STEPS, LENGTH = 16, 8, 2, 320
EVERY_TERM = Distillation(
    **{field.name: 1.0 for field in fields(Distillation) if field.default == 0.0},
    select="quantile",
)


def network(latent_dim):
    return Generator(width=4, latent_dim=latent_dim, length=LENGTH, channels=1, output_bias=True)


def variables(teacher, key):
    x = jnp.zeros((2, LENGTH, 1))
    return {
        "generator": teacher.generator.init(key, x, train=False),
        "discriminator": teacher.discriminator.init(key, x, train=False),
    }


def test_steps_with_a_live_teacher_every_term_and_augmentation(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # layers ask for it
    trainer = Trainer(
        generator=network(5),
        discriminator=Discriminator(4),
        optimizer=adam(1e-3, grad_clip=1.0),
        weights=(("reconstruction", 1.0), ("feature_matching", 1.0), ("adversarial", 1.0)),
        kd=EVERY_TERM,
        augment=True,
        average_decay=0.99,
    )
    teacher = Teacher(generator=network(6), discriminator=Discriminator(4))
    key = jax.random.key(0)
    teacher = teacher.replace(variables=jax.eval_shape(partial(variables, teacher), key))
    state = jax.eval_shape(
        lambda k, mean: fresh_state(trainer, k, mean, teacher=teacher), key, jnp.zeros(1)
    )
    of = jax.ShapeDtypeStruct
    data = jax.eval_shape(jax.random.key_data, key)
    lowered = (
        jax.jit(partial(run_steps, trainer))
        .trace(
            state,
            teacher,
            of((BEATS, LENGTH, 1), jnp.float32),
            of((STEPS, BATCH), jnp.int32),
            of((2,), jnp.int32),
            data,
        )
        .lower(lowering_platforms=("cuda", "tpu"))
    )
    assert "stablehlo.while" in lowered.as_text()
