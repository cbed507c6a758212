"""One pure training step, and a compiled chunk of them.

A step updates the discriminator on the batch, then the generator against the updated discriminator
(Zhou et al. 2019, algorithm 1). Both updates share one forward pass of the generator, whose weights
do not change in between.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from kdjax.models import losses
from kdjax.models.augmentation import time_warp
from kdjax.models.distillation import Distillation, Lesson, Teacher, distillation_terms
from kdjax.models.networks import Discriminator, Generator, GeneratorOutput, redraw

# The published code re-initialises a discriminator whose loss falls below this.
COLLAPSED_DISCRIMINATOR = 5e-6

_AUGMENTS = 2**32 - 1  # folded into the run's key beside the steps, which begin at 0

Variables = dict[str, Any]
Metrics = dict[str, jax.Array]
Outputs = tuple[GeneratorOutput, GeneratorOutput | None]  # of the batch and of the transfer beats


class TrainState(flax.struct.PyTreeNode):
    """Everything that training changes.

    step: int32 count of updates. generator, discriminator: {'params', 'batch_stats'}.
    projection: {} or {'kernel': [L_s, L_t]}, from the student's latent to the teacher's.
    *_opt: Optax. average: the generator averaged over steps, of its structure; {} without
    averaging.
    """

    step: jax.Array
    generator: Variables
    discriminator: Variables
    projection: Variables
    generator_opt: optax.OptState
    discriminator_opt: optax.OptState
    projection_opt: optax.OptState
    average: Variables = flax.struct.field(default_factory=dict)

    @property
    def trained(self) -> Variables:
        """The generator that training gives: the average where there is one."""
        return self.average or self.generator


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """The parts of a training step that never change: networks, weights of the terms, optimiser.

    `weights` holds the generator's own terms ('reconstruction', 'feature_matching', 'adversarial'),
    0 is off. A student that distils has `kd`; its teacher is an argument of the step. With
    `augment` every step sees its beats warped in time. `average_decay` above 0 keeps an average of
    the generator.
    """

    generator: Generator
    discriminator: Discriminator
    optimizer: optax.GradientTransformation
    weights: tuple[tuple[str, float], ...]
    kd: Distillation | None = None
    augment: bool = False
    average_decay: float = 0.0

    @property
    def axis_name(self) -> str | None:
        return self.generator.axis_name

    def term_weights(self) -> dict[str, float]:
        """Every term of the generator's objective that is on."""
        own = {name: weight for name, weight in self.weights if weight}
        return own | (self.kd.weights() if self.kd else {})

    def projects_to(self, teacher: Teacher | None) -> int | None:
        """The size that the student's latent is projected to; None where it is not."""
        if "kd_latent" not in self.term_weights() or teacher is None or teacher.generator is None:
            return None
        size = teacher.generator.latent_dim
        return None if size == self.generator.latent_dim else size


def adam(
    learning_rate: optax.ScalarOrSchedule, grad_clip: float | None = None
) -> optax.GradientTransformation:
    """Adam as BeatGAN sets it, after clipping to the global norm `grad_clip` if that is given."""
    update = optax.adam(learning_rate, b1=0.5, b2=0.999, eps=1e-8)
    return optax.chain(optax.clip_by_global_norm(grad_clip), update) if grad_clip else update


def fresh_state(
    trainer: Trainer,
    key: jax.Array,
    mean: jax.Array | None = None,
    *,
    teacher: Teacher | None = None,
) -> TrainState:
    """A fresh state; a pure function of `key`.

    `mean` [C], the average of the training beats by lead, starts the generator's output bias, so
    that the first reconstructions stand at the mean beat whatever the weights drawn. Of the
    `teacher` only the size of its latent matters.
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
    projection = {}
    if size := trainer.projects_to(teacher):
        draw = jax.nn.initializers.lecun_normal()
        kernel = draw(jax.random.fold_in(key, 2), (g.latent_dim, size), g.param_dtype)
        projection["kernel"] = kernel
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        generator=generator,
        discriminator=discriminator,
        projection=projection,
        generator_opt=trainer.optimizer.init(generator["params"]),
        discriminator_opt=trainer.optimizer.init(discriminator["params"]),
        projection_opt=trainer.optimizer.init(projection),
        average=generator if trainer.average_decay else {},
    )


# `fresh_state`, compiled. It runs once: with few optimisations it is there in half the time.
init_state = jax.jit(
    fresh_state, static_argnums=0, compiler_options={"xla_backend_optimization_level": 1}
)


def train_step(
    trainer: Trainer,
    state: TrainState,
    teacher: Teacher | None,
    *,
    x: jax.Array,
    key: jax.Array,
) -> tuple[TrainState, Metrics]:
    """One update of both networks on this device's beats x [B / n, T, C].

    `teacher`: with its lesson of these very beats, or without one, when it is run here. `key`: the
    run's key, the same for all steps and devices. Returns the new state and scalar metrics over
    the global batch. Pure.
    """
    lesson = _lesson(trainer, teacher, x)
    outputs, pull_back, generator_stats = _generate(trainer, state.generator, x, lesson=lesson)
    discriminator, discriminator_opt, on_discriminator = _step_discriminator(
        trainer, state, x=x, x_hat=jax.lax.stop_gradient(outputs[0].x_hat)
    )

    terms_of = partial(
        generator_terms, trainer, x=x, discriminator=discriminator, teacher=teacher, lesson=lesson
    )
    (cotangent, projection_grads), on_generator = _generator_gradients(
        terms_of, trainer.term_weights(), outputs, projection=state.projection
    )
    generator, generator_opt = _updated(
        trainer, pull_back(cotangent)[0], state.generator, opt=state.generator_opt
    )
    generator |= generator_stats
    projection, projection_opt = _update(
        trainer, projection_grads, state.projection, opt=state.projection_opt
    )

    metrics = _average(trainer, on_discriminator | on_generator)
    discriminator = _revive(discriminator, metrics, jax.random.fold_in(key, state.step))
    average = state.average
    if trainer.average_decay:
        average = averaged(average, generator, state.step + 1, decay=trainer.average_decay)
    new = TrainState(
        step=state.step + 1,
        generator=generator,
        discriminator=discriminator,
        projection=projection,
        generator_opt=generator_opt,
        discriminator_opt=discriminator_opt,
        projection_opt=projection_opt,
        average=average,
    )
    return new, metrics


def _step_discriminator(
    trainer: Trainer, state: TrainState, *, x: jax.Array, x_hat: jax.Array
) -> tuple[Variables, Any, Metrics]:
    """The discriminator and its optimiser after one update on beats and their reconstructions.

    The metrics are its cross-entropies before that update.
    """

    def loss(params):
        variables = {**state.discriminator, "params": params}
        real, stats = _apply(trainer.discriminator, variables, x)
        fake, stats = _apply(trainer.discriminator, variables | stats, x_hat)
        bce_real, bce_fake = losses.discriminator_bce(real.logit, fake.logit)
        return bce_real + bce_fake, (bce_real, bce_fake, stats)

    (_, (d_real, d_fake, stats)), grads = jax.value_and_grad(loss, has_aux=True)(
        state.discriminator["params"]
    )
    discriminator, optimizer = _updated(
        trainer, grads, state.discriminator, opt=state.discriminator_opt
    )
    return discriminator | stats, optimizer, {"D_real": d_real, "D_fake": d_fake}


def _generator_gradients(
    terms_of: Callable[[Outputs, Variables], tuple[Metrics, Metrics]],
    weights: Mapping[str, float],
    outputs: Outputs,
    *,
    projection: Variables,
) -> tuple[tuple[Outputs, Variables], Metrics]:
    """The gradients of the generator's objective in its outputs and the projection; its metrics.

    terms_of: `generator_terms` of outputs and a projection, the rest given.
    """

    def loss(outputs: Outputs, projection: Variables):
        terms, share = terms_of(outputs, projection)
        total = sum(weights[name] * terms[name] for name in terms)
        return total, terms | {"G_loss": total} | share

    return jax.grad(loss, (0, 1), has_aux=True)(outputs, projection)


def averaged(average: Variables, new: Variables, step: jax.Array, *, decay: float) -> Variables:
    """An exponential moving average of weights and statistics after one more step.

    `step` counts from 1, which forgets what `average` was. The weights of all steps so far sum to
    1, as in Adam's corrected moments (Kingma & Ba 2015, section 3): a_t = a_{t-1} + r_t (w_t -
    a_{t-1}) with r_t = (1 - decay) / (1 - decay^t).
    """

    def leaf(old: jax.Array, now: jax.Array) -> jax.Array:
        remaining = step.astype(now.dtype) * math.log(decay)
        return old + (1 - decay) / -jnp.expm1(remaining) * (now - old)

    return jax.tree.map(leaf, average, new)


def generator_terms(
    trainer: Trainer,
    outputs: Outputs,
    projection: Variables,
    *,
    x: jax.Array,
    discriminator: Variables,
    teacher: Teacher | None,
    lesson: Lesson | None,
) -> tuple[Metrics, Metrics]:
    """The unweighted terms of the generator's objective that are on, and the share selected."""
    output, on_transfer = outputs
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
    if lesson is None or trainer.kd is None:
        return terms, {}
    targets = lesson.targets
    if on_transfer is not None:
        # One batch of twice the beats: softmaxes and ranks reach across both halves.
        output, x, targets = jax.tree.map(
            lambda a, b: jnp.concatenate([a, b]),
            (output, x, targets),
            (on_transfer, lesson.transfer, lesson.transfer_targets),
        )
    features = None if teacher is None else teacher.features
    distilled, share = distillation_terms(
        output,
        x,
        targets,
        kd=trainer.kd,
        axis_name=trainer.axis_name,
        projection=projection.get("kernel"),
        features=features,
    )
    return terms | distilled, {"selected": share}


def gradient_norms(
    trainer: Trainer,
    state: TrainState,
    teacher: Teacher | None,
    *,
    x: jax.Array,
) -> Metrics:
    """The norm of each weighted term's gradient in the generator's parameters, at this state.

    Costs one backward pass a term: for the log, once an epoch. The passes are one program with an
    axis of terms, which compiles in a fraction of the time.
    """
    lesson = _lesson(trainer, teacher, x)
    outputs, pull_back, _ = _generate(trainer, state.generator, x, lesson=lesson)
    weights = trainer.term_weights()

    def weighted(outputs: Outputs) -> jax.Array:
        terms, _ = generator_terms(
            trainer,
            outputs,
            state.projection,
            x=x,
            discriminator=state.discriminator,
            teacher=teacher,
            lesson=lesson,
        )
        return jnp.stack([weight * terms[name] for name, weight in weights.items()])

    (grads,) = jax.vmap(pull_back)(jax.jacrev(weighted)(outputs))
    norms = jax.vmap(optax.tree.norm)(_average(trainer, grads))
    return {name: norms[i] for i, name in enumerate(weights)}


def run_steps(
    trainer: Trainer,
    state: TrainState,
    teacher: Teacher | None,
    beats: jax.Array,
    order: jax.Array,
    bounds: jax.Array,
    key: jax.Array,
) -> tuple[TrainState, Metrics]:
    """Steps bounds[0] to bounds[1] of an epoch, as one program: no host in between.

    beats [N, T, C] stand on the device, the teacher's lesson beside them beat by beat; order
    [steps, B / n] says which of them make each batch. Where they are augmented, the key, the step
    and the beat's number say how: the same on any number of devices. The bounds are traced, so that
    chunks of any length share a program. Returns the new state and the mean of each metric over the
    chunk.
    """

    @partial(jax.jit, inline=True)  # traced once, for its metrics and for the loop
    def step(state: TrainState, i: jax.Array) -> tuple[TrainState, Metrics]:
        batch = order[i]
        x = beats[batch]
        if trainer.augment:
            of_step = jax.random.fold_in(jax.random.fold_in(key, _AUGMENTS), state.step)
            x = time_warp(jax.vmap(partial(jax.random.fold_in, of_step))(batch), x)
        return train_step(
            trainer, state, None if teacher is None else teacher.at(batch), x=x, key=key
        )

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
    trainer: Trainer, variables: Variables, x: jax.Array, *, lesson: Lesson | None
) -> tuple[Outputs, Callable, Variables]:
    """The generator's outputs, the function that pulls their gradient back, its new statistics.

    Transfer beats are seen as in use, by the running statistics: those stay the training beats'.
    """

    def forward(params):
        current = {**variables, "params": params}
        output, stats = _apply(trainer.generator, current, x)
        on_transfer = None
        if lesson is not None and lesson.transfer is not None:
            on_transfer = trainer.generator.apply(current, lesson.transfer, train=False)
            assert isinstance(on_transfer, GeneratorOutput)
        return (output, on_transfer), stats

    return jax.vjp(forward, variables["params"], has_aux=True)


def _apply(module: Any, variables: Variables, x: jax.Array) -> tuple[Any, Variables]:
    return module.apply(variables, x, train=True, mutable=["batch_stats"])


def _lesson(trainer: Trainer, teacher: Teacher | None, x: jax.Array) -> Lesson | None:
    """What the teacher says of this batch, for a student that distils."""
    if trainer.kd is None or not trainer.kd.weights():
        return None
    if teacher is None:
        raise ValueError("distillation needs a teacher")
    return teacher.teach(x, trainer.kd)


def _updated(
    trainer: Trainer, grads: Any, variables: Variables, *, opt: optax.OptState
) -> tuple[Variables, optax.OptState]:
    params, opt = _update(trainer, grads, variables["params"], opt=opt)
    return variables | {"params": params}, opt


def _update(
    trainer: Trainer, grads: Any, params: Any, *, opt: optax.OptState
) -> tuple[Any, optax.OptState]:
    with jax.numpy_dtype_promotion("standard"):  # Optax raises b1 to an integer count
        updates, opt = trainer.optimizer.update(_average(trainer, grads), opt, params)
    return optax.apply_updates(params, updates), opt


def _average(trainer: Trainer, tree: Any) -> Any:
    return tree if trainer.axis_name is None else jax.lax.pmean(tree, trainer.axis_name)


def _revive(discriminator: Variables, metrics: Metrics, key: jax.Array) -> Variables:
    """New weights for a discriminator that has won outright; its statistics and Adam's stay."""
    collapsed = metrics["D_real"] + metrics["D_fake"] < COLLAPSED_DISCRIMINATOR
    params = jax.lax.cond(
        collapsed,
        lambda params: redraw(params, key),
        lambda params: params,
        discriminator["params"],
    )
    return discriminator | {"params": params}
