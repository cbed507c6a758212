"""Convolutions of `kdjax.models.layers`: one product, or three of a quarter less work.

python -m benchmarks.speed.convolutions --out docs/results/perf-convolutions.json

Every stage of the networks but the first, which has one channel, at widths 32, 16 and 8 and several
batches; both forms in turn in one process. `layers.in_three` takes its sizes from here.
"""

from typing import Any

import numpy as np

from benchmarks.speed.measure import Contestant, out_argument, ratios, seconds, spread, write

# Outputs of a beat, channels in and out: the second to the fifth stage.
STAGES = tuple((80 >> s, w << s, w << s + 1) for w in (32, 16, 8) for s in range(4))
BATCHES = (16, 64, 256)
FORMS = ("conv", "transpose", "gradient")
CALLS = 5  # in a measurement


def main() -> None:
    """Writes the spread of both forms' times and of their ratio by size."""
    args = out_argument(__doc__.splitlines()[0]).parse_args()
    rounds = 2 if args.quick else 9
    batches = BATCHES[:1] if args.quick else BATCHES
    contestant = Contestant(prepare)
    rows = []
    for size in STAGES:
        for batch in batches:
            rows.append(contestant.turn(batch, size, rounds))
            print("  ", batch, *size, flush=True)
    contestant.close()
    write(args.out, "convolutions", {"rounds": rounds, "calls": CALLS, "rows": rows})


def prepare() -> tuple[Any, dict[str, Any]]:
    """A turn times both forms of the convolution, its transpose and its kernel's gradient."""
    import jax
    import jax.numpy as jnp

    from kdjax.models import layers

    def turn(batch: int, size: tuple[int, int, int], rounds: int) -> dict[str, Any]:
        outputs, inner, outer = size
        rng = np.random.default_rng(0)
        long, short, kernel, turned = (
            jnp.asarray(rng.normal(size=shape), jnp.float32)
            for shape in (
                (batch, 2 * outputs, inner),
                (batch, outputs, outer),
                (4, inner, outer),
                (4, outer, inner),
            )
        )
        given = {"conv": (long, kernel), "transpose": (short, turned), "gradient": (long, short)}
        row: dict[str, Any] = {"batch": batch, "outputs": outputs, "channels": [inner, outer]}
        for form in FORMS:
            one, three = (
                jax.jit(getattr(layers, f"{form}_in_{name}")) for name in ("one", "three")
            )
            scale = float(jnp.abs(one(*given[form])).max())
            np.testing.assert_allclose(three(*given[form]), one(*given[form]), 0, 1e-5 * scale)
            times: dict[Any, list[float]] = {one: [], three: []}
            for _ in range(rounds):
                for function, found in times.items():
                    found.append(seconds(_calls, function, given[form]) / CALLS)
            row[form] = {
                "taken": layers.in_three(form, batch, outputs, channels=inner * outer),
                "seconds_in_one": spread(times[one]),
                "seconds_in_three": spread(times[three]),
                "three_is_faster_by": ratios(times[one], times[three]),
            }
        return row

    return turn, {}


def _calls(function: Any, arguments: tuple) -> None:
    for _ in range(CALLS):
        result = function(*arguments)
    result.block_until_ready()


if __name__ == "__main__":
    main()
