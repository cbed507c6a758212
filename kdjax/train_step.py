"""One pure training step, and a compiled chunk of them.

A step updates the discriminator on the batch, then the generator against the updated discriminator
(Zhou et al. 2019, algorithm 1). Both updates share one forward pass of the generator, whose weights
do not change in between.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from kdjax import losses
from kdjax.distillation import (
    Distillation,
    TeacherTargets,
    distillation_terms,
    teacher_targets,
)
from kdjax.models import Discriminator, Generator, GeneratorOutput

# The published code re-initialises a discriminator whose loss falls below this.
COLLAPSED_DISCRIMINATOR = 5e-6

Variables = dict[str, Any]
Metrics = dict[str, jax.Array]


class TrainState(flax.struct.PyTreeNode):
    """Everything that training changes.

    step: int32 count of updates. generator, discriminator: {'params', 'batch_stats'}. *_opt: Optax.
    """

    step: jax.Array
    generator: Variables
    discriminator: Variables
    generator_opt: optax.OptState
    discriminator_opt: optax.OptState


@dataclass(frozen=True)
class Trainer:
    """The parts of a training step that never change: networks, weights of the terms, optimiser.

    `weights` holds the generator's own terms ('reconstruction', 'feature_matching', 'adversarial'),
    0 is off. A `teacher` comes with its `kd`; its variables are an argument of the step.
    """

    generator: Generator
    discriminator: Discriminator
    optimizer: optax.GradientTransformation
    weights: tuple[tuple[str, float], ...]
    teacher: Generator | None = None
    kd: Distillation | None = None

    @property
    def axis_name(self) -> str | None:
        return self.generator.axis_name

    def term_weights(self) -> dict[str, float]:
        """Every term of the generator's objective that is on."""
        own = {name: weight for name, weight in self.weights if weight}
        return own | (self.kd.weights() if self.kd else {})


def adam(learning_rate: float, grad_clip: float | None = None) -> optax.GradientTransformation:
    """Adam as BeatGAN sets it, after clipping to the global norm `grad_clip` if that is given."""
    update = optax.adam(learning_rate, b1=0.5, b2=0.999, eps=1e-8)
    return optax.chain(optax.clip_by_global_norm(grad_clip), update) if grad_clip else update


@partial(jax.jit, static_argnums=0)
def init_state(trainer: Trainer, key: jax.Array, mean: jax.Array | None = None) -> TrainState:
    """A fresh state; a pure function of `key`.

    `mean` [C], the average of the training beats by lead, starts the generator's output bias, so
    that the first reconstructions stand at the mean beat whatever the weights drawn.
    """
    key_g, key_d = jax.random.split(key)
    g = trainer.generator
    beat = jnp.zeros((2, g.length, g.channels), g.param_dtype)
    # `train=False` needs no device axis and makes the same variables.
    generator = dict(g.init(key_g, beat, train=False))
    discriminator = dict(trainer.discriminator.init(key_d, beat, train=False))
    if g.output_bias:
        if mean is None:
            raise ValueError("a generator with an output bias is started at the mean beat: give it")
        generator["params"]["decoder"]["bias"] = jnp.arctanh(mean.astype(g.param_dtype))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        generator=generator,
        discriminator=discriminator,
        generator_opt=trainer.optimizer.init(generator["params"]),
        discriminator_opt=trainer.optimizer.init(discriminator["params"]),
    )


def train_step(
    trainer: Trainer, state: TrainState, teacher: Variables | None, x: jax.Array, key: jax.Array
) -> tuple[TrainState, Metrics]:
    """One update of both networks on this device's beats x [B / n, T, C].

    `teacher`: the frozen teacher's variables, or None. `key`: the run's key, the same for all steps
    and devices. Returns the new state and scalar metrics over the global batch. Pure.
    """
    output, pull_back, generator_stats = _generate(trainer, state.generator, x)

    def discriminator_loss(params):
        fake_input = jax.lax.stop_gradient(output.x_hat)
        variables = {**state.discriminator, "params": params}
        real, stats = _apply(trainer.discriminator, variables, x)
        fake, stats = _apply(trainer.discriminator, variables | stats, fake_input)
        bce_real, bce_fake = losses.discriminator_bce(real.logit, fake.logit)
        return bce_real + bce_fake, (bce_real, bce_fake, stats)

    (_, (d_real, d_fake, discriminator_stats)), grads = jax.value_and_grad(
        discriminator_loss, has_aux=True
    )(state.discriminator["params"])
    discriminator, discriminator_opt = _update(
        trainer, grads, state.discriminator, state.discriminator_opt
    )
    discriminator |= discriminator_stats

    targets = _targets(trainer, teacher, x)

    def generator_loss(output: GeneratorOutput):
        terms, share = generator_terms(trainer, output, x, discriminator, targets)
        weights = trainer.term_weights()
        total = sum(weights[name] * terms[name] for name in terms)
        return total, terms | {"G_loss": total} | share

    cotangent, terms = jax.grad(generator_loss, has_aux=True)(output)
    generator, generator_opt = _update(
        trainer, pull_back(cotangent)[0], state.generator, state.generator_opt
    )
    generator |= generator_stats

    metrics = _average(trainer, {"D_real": d_real, "D_fake": d_fake} | terms)
    discriminator = _revive(trainer, discriminator, metrics, jax.random.fold_in(key, state.step))
    new = TrainState(
        step=state.step + 1,
        generator=generator,
        discriminator=discriminator,
        generator_opt=generator_opt,
        discriminator_opt=discriminator_opt,
    )
    return new, metrics


def generator_terms(
    trainer: Trainer,
    output: GeneratorOutput,
    x: jax.Array,
    discriminator: Variables,
    targets: TeacherTargets | None,
) -> tuple[Metrics, Metrics]:
    """The unweighted terms of the generator's objective that are on, and the share selected."""
    on = trainer.term_weights()
    terms = {}
    if "reconstruction" in on:
        terms["reconstruction"] = losses.reconstruction(output.x_hat, x)
    if "feature_matching" in on or "adversarial" in on:
        fake, _ = _apply(trainer.discriminator, discriminator, output.x_hat)
        if "feature_matching" in on:
            real, _ = _apply(trainer.discriminator, discriminator, x)
            terms["feature_matching"] = losses.feature_matching(fake.features, real.features)
        if "adversarial" in on:
            terms["adversarial"] = losses.adversarial_bce(fake.logit)
    if targets is None or trainer.kd is None:
        return terms, {}
    distilled, share = distillation_terms(output, x, targets, trainer.kd, trainer.axis_name)
    return terms | distilled, {"selected": share}


def gradient_norms(
    trainer: Trainer, state: TrainState, teacher: Variables | None, x: jax.Array
) -> Metrics:
    """The norm of each weighted term's gradient in the generator's parameters, at this state.

    Costs one backward pass a term: for the log, once an epoch.
    """
    output, pull_back, _ = _generate(trainer, state.generator, x)
    targets = _targets(trainer, teacher, x)
    norms = {}
    for name, weight in trainer.term_weights().items():

        def term(output: GeneratorOutput, name=name, weight=weight):
            terms, _ = generator_terms(trainer, output, x, state.discriminator, targets)
            return weight * terms[name]

        (grads,) = pull_back(jax.grad(term)(output))
        norms[name] = optax.tree.norm(_average(trainer, grads))
    return norms


def run_steps(
    trainer: Trainer,
    state: TrainState,
    teacher: Variables | None,
    beats: jax.Array,
    order: jax.Array,
    bounds: jax.Array,
    key: jax.Array,
) -> tuple[TrainState, Metrics]:
    """Steps bounds[0] to bounds[1] of an epoch, as one program: no host in between.

    beats [N, T, C] stand on the device; order [steps, B / n] says which of them make each batch.
    The bounds are traced, so that chunks of any length share a program. Returns the new state and
    the mean of each metric over the chunk.
    """

    def step(state: TrainState, i: jax.Array) -> tuple[TrainState, Metrics]:
        return train_step(trainer, state, teacher, beats[order[i]], key)

    start, stop = bounds
    shapes = jax.eval_shape(step, state, start)[1]
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def body(i, carry):
        state, sums = carry
        state, metrics = step(state, i)
        return state, jax.tree.map(jnp.add, sums, metrics)

    state, sums = jax.lax.fori_loop(start, stop, body, (state, zeros))
    return state, jax.tree.map(lambda s: s / (stop - start).astype(s.dtype), sums)


def _generate(
    trainer: Trainer, variables: Variables, x: jax.Array
) -> tuple[GeneratorOutput, Callable, Variables]:
    """The generator's output, the function that pulls its gradient back, and its new statistics."""

    def forward(params):
        return _apply(trainer.generator, {**variables, "params": params}, x)

    return jax.vjp(forward, variables["params"], has_aux=True)


def _apply(module: Any, variables: Variables, x: jax.Array) -> tuple[Any, Variables]:
    return module.apply(variables, x, train=True, mutable=["batch_stats"])


def _targets(trainer: Trainer, teacher: Variables | None, x: jax.Array) -> TeacherTargets | None:
    if (trainer.teacher is None) != (teacher is None):
        raise ValueError("a teacher's module and its variables go together")
    return None if trainer.teacher is None else teacher_targets(trainer.teacher, teacher, x)


def _update(
    trainer: Trainer, grads: Any, variables: Variables, opt: optax.OptState
) -> tuple[Variables, optax.OptState]:
    with jax.numpy_dtype_promotion("standard"):  # Optax raises b1 to an integer count
        updates, opt = trainer.optimizer.update(_average(trainer, grads), opt, variables["params"])
    return variables | {"params": optax.apply_updates(variables["params"], updates)}, opt


def _average(trainer: Trainer, tree: Any) -> Any:
    return tree if trainer.axis_name is None else jax.lax.pmean(tree, trainer.axis_name)


def _revive(
    trainer: Trainer, discriminator: Variables, metrics: Metrics, key: jax.Array
) -> Variables:
    """New weights for a discriminator that has won outright; its statistics and Adam's stay."""
    g = trainer.generator

    def fresh(_):
        beat = jnp.zeros((2, g.length, g.channels), g.param_dtype)
        return trainer.discriminator.init(key, beat, train=False)["params"]

    collapsed = metrics["D_real"] + metrics["D_fake"] < COLLAPSED_DISCRIMINATOR
    params = jax.lax.cond(collapsed, fresh, lambda params: params, discriminator["params"])
    return discriminator | {"params": params}
