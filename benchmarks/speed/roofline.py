"""The arithmetic of a training step over the machine's own rate of matrix products.

python -m benchmarks.speed.roofline --out docs/results/perf-roofline.json

Step and products are timed in one process, round by round. The rate is the best of all sizes and
both libraries in float32, in each round the best of three calls; the step's is a mean. Counted are
the multiplications and additions of convolutions and of the two layers at the latent, as many as
their plain sums have, not BatchNorm, activations or Adam. `kdjax.models.layers` computes
large ones with fewer: those that it does are counted beside.
"""

from typing import Any

import numpy as np

from benchmarks.speed.measure import Contestant, out_argument, seconds, spread, write

# Rows, inner, columns: squares, and the shapes that the network has at batch 64.
SIZES = (
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (4096, 4096, 4096),
    (10240, 64, 128),
    (5120, 128, 256),
    (2560, 256, 512),
    (1280, 512, 1024),
)
BATCH = 64
FORMULA = "3 G + 9 D, G and D twice the multiply-accumulates of a forward pass of each network"


def main() -> None:
    """Writes the rates by size, the step's, and the share that it reaches."""
    args = out_argument(__doc__.splitlines()[0]).parse_args()
    width, steps, rounds = (8, 4, 2) if args.quick else (32, 10, 15)
    sizes = SIZES[-2:] if args.quick else SIZES
    contestant = Contestant(prepare, width, steps, sizes)
    found: list[dict[str, float]] = [contestant.turn() for _ in range(rounds + 1)][1:]
    contestant.close()
    rates = {name: spread([f[name] for f in found]) for name in found[0]}
    step = rates.pop("step")
    best = max(rates, key=lambda name: rates[name]["median"])
    write(
        args.out,
        "roofline",
        {
            "width": width,
            "batch": BATCH,
            "steps": steps,
            "rounds": rounds,
            "formula": FORMULA,
            "flops_a_step": step_flops(width, BATCH),
            "flops_saved": contestant.facts["flops_saved"],
            "step_gflops": step,
            "product_gflops": rates,
            "best_product": best,
            "share": spread([f["step"] / f[best] for f in found]),
        },
    )
    print(f"{step['median']:.0f} of {rates[best]['median']:.0f} GFLOP/s ({best})")


def step_flops(width: int, batch: int, length: int = 320, *, channels: int = 1) -> int:
    """Floating-point operations of one step, each sum written out.

    The generator runs forward once and backward once, by weights and by inputs: 3 G. The
    discriminator's update takes beats and reconstructions forward and backward: 6 D. The
    generator's runs both forward again and goes back through the reconstruction's pass by inputs
    alone: 3 D.
    """
    from kdjax.models.sizes import REDUCTION, STAGES, GeneratorSizes, multiply_accumulates

    latent = 50
    generator = multiply_accumulates(
        GeneratorSizes(width=width, latent_dim=latent, length=length, channels=channels)
    )
    top = length // REDUCTION * width * 2 ** (STAGES - 1)
    discriminator = generator // 2 - top * latent + top
    return batch * 2 * (3 * generator + 9 * discriminator)


def saved_flops(width: int, batch: int, length: int = 320) -> int:
    """How many of them kdjax leaves out on this device, by products in three: a quarter of each.

    Of each stage the generator computes every form once in its encoder and once in its decoder; the
    discriminator convolves beats and reconstructions for both updates, goes back to the inputs in
    three passes and to the kernels in two.
    """
    from kdjax.models.layers import KERNEL, in_three
    from kdjax.models.sizes import STAGES

    passes = {"conv": 6, "transpose": 5, "gradient": 4}
    saved = 0
    for stage in range(1, STAGES):
        t, channels = length >> stage + 1, 2 * (width << stage - 1) ** 2
        work = 2 * batch * t * KERNEL * channels
        saved += (
            work
            // 4
            * sum(n for f, n in passes.items() if in_three(f, batch, t, channels=channels))
        )
    return saved


def prepare(width: int, steps: int, sizes: tuple) -> tuple[Any, dict[str, Any]]:
    """A turn gives the rates in GFLOP/s of the step and of every product."""
    import jax
    import jax.numpy as jnp

    from benchmarks.speed import chunks
    from configs import teacher
    from kdjax.training import assemble, parallel

    config: Any = teacher.get_config("mitbih")
    config.model.width = width
    trainer = assemble.make_trainer(config, (320, 1), parallel.AXIS)
    x, order = chunks.noise(3200), chunks.batches(3200, steps, BATCH)
    chunk = chunks.turns(trainer, chunks.drawn_state(trainer), x, order=order)
    chunk(0, 0)
    rng = np.random.default_rng(0)
    matrices = {
        size: [rng.normal(size=shape).astype(np.float32) for shape in (size[:2], size[1:])]
        for size in sizes
    }
    on_device = {size: [jnp.asarray(m) for m in pair] for size, pair in matrices.items()}
    product = jax.jit(jnp.dot)

    def turn() -> dict[str, float]:
        rates = {"step": steps * step_flops(width, BATCH) / chunk(0, steps)[0] / 1e9}
        for size in sizes:
            work = 2 * float(np.prod(size)) / 1e9
            name = " x ".join(map(str, size))
            xla = [
                seconds(lambda s=size: product(*on_device[s]).block_until_ready()) for _ in "abc"
            ]
            blas = [seconds(np.dot, *matrices[size]) for _ in "abc"]
            rates |= {f"XLA {name}": work / min(xla), f"NumPy {name}": work / min(blas)}
        return rates

    return turn, {"flops_saved": saved_flops(width, BATCH)}


if __name__ == "__main__":
    main()
