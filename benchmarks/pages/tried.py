"""The last section of the performance page: changes that were tried, kept or not."""

from benchmarks.shared import folded

TRIED = (
    "## What else was tried?",
    "Each change was compared with the code before it, in turn in one process on two cores. No "
    "figures are given, because repeating them would need code that was not kept.",
    folded(
        "Changes that were kept, and changes that were not",
        """Kept:

- Convolutions whose products have no superfluous row: neighbouring pairs are laid side by side
  before the product, and outputs are added after it. Faster at widths 32 and 8. This was the best
  of several forms, so it was measured once more.
- Backward passes written by hand, each convolution being the other's adjoint, instead of derived
  ones: a step is faster at widths 32 and 8.
- A transposed convolution that adds the neighbours' shares to the middle two outputs, instead of
  adding two padded halves: scoring is faster, most of all at width 8; a step takes as long.
- One beat with the weights as constants of the program instead of arguments: faster.
- Waiting for one beat without sleeping, while yielding the processor to other threads: faster, most
  of all at width 8, where waking up took as long as the beat.
- Three products instead of four where seeds train together: the same or faster at width 32, the
  same at width 16.
- A reset discriminator's weights from one draw, instead of one draw per layer inside the step: the
  step compiles in little more than half the time.
- The first state compiled with few optimisations: half the time.
- Beats that all devices share without an axis of devices, instead of a copy for each: that axis
  cost a copy of the data set at every chunk.

Not kept:

- A transposed convolution as one product over three neighbours, with half of its kernel zero:
  slower at width 32.
- A barrier between gradients and updates, so that no weight is copied before it is overwritten: no
  change. The conditional reset of the discriminator costs nothing either.
- Waiting for one beat without yielding: slower at width 32.
- One beat computed by JAX in the calling thread: about as fast, but an option of the whole process.
- For one beat, the XLA options that were tried, a client with one thread, the same products in
  NumPy, and products cut in two: no change.
- Large batches scored 32 to 128 beats at a time inside one program, or in two threads: no gain at
  width 8, on a machine with other work.
- Both halves of the discriminator's update as one batch of twice the size under `vmap`: no gain at
  width 8; not measured at width 32.
- XLA without its YNN matrix products, or with the concurrency-optimised scheduler: slower. With
  vectors of 512 bits: the same median. XLA's defaults stay.""",
    ),
)
