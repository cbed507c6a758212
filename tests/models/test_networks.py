import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import drawn, shapes
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kdjax.models.layers import strided_conv, strided_conv_transpose
from kdjax.models.networks import (
    Decoder,
    Discriminator,
    Generator,
    anomaly_score,
    centred_xavier_normal,
    count_parameters,
    near_one,
    redraw,
)
from kdjax.models.sizes import (
    check_length,
    encoder_multiply_accumulates,
    multiply_accumulates,
)

few = settings(max_examples=4, deadline=None)
SMALL = Generator(width=4, latent_dim=6, length=32, channels=2)
CRITIC = Discriminator(width=4)


def parameters(module, beat):
    return count_parameters(shapes(module, beat)["params"])


@pytest.fixture(scope="module")
def beats():
    rng = np.random.default_rng(1)
    return jnp.asarray(rng.uniform(-1, 1, (6, 32, 2)), jnp.float32)


@pytest.fixture(scope="module")
def variables():
    return drawn(SMALL, (32, 2))


@pytest.fixture(scope="module")
def trained(beats, variables):
    """One pass in training mode: the output and the new statistics."""
    apply = jax.jit(lambda v, x: SMALL.apply(v, x, train=True, mutable=["batch_stats"]))
    return apply(variables, beats)


@pytest.fixture(scope="module")
def infer():
    return jax.jit(lambda v, x: SMALL.apply(v, x, train=False, mutable=["batch_stats"]))


# --- sizes -------------------------------------------------------------------------------------


def test_parameters_of_the_published_size():
    """1,908,800 and 703,488 with one lead: those of the published PyTorch networks."""
    assert parameters(Generator(32, 50, 320, 1), (320, 1)) == 1_908_800
    assert parameters(Discriminator(32), (320, 1)) == 703_488


@pytest.mark.parametrize("leads", [1, 2, 12])
def test_an_output_bias_is_one_parameter_a_lead(leads):
    without = parameters(Generator(8, 50, 320, leads), (320, leads))
    with_bias = parameters(Generator(8, 50, 320, leads, output_bias=True), (320, leads))
    assert with_bias == without + leads


@few
@given(
    width=st.integers(1, 9),
    latent=st.integers(1, 60),
    leads=st.integers(1, 12),
    steps=st.integers(1, 12),
    batch=st.integers(1, 7),
    bias=st.booleans(),
)
@example(width=32, latent=50, leads=1, steps=10, batch=64, bias=False)
def test_shapes_of_every_output(width, latent, leads, steps, batch, bias):
    length = 32 * steps
    stages = [(batch, length // 2 ** (s + 1), width * 2**s) for s in range(5)]
    beats = jax.ShapeDtypeStruct((batch, length, leads), jnp.float32)

    def run(module):
        return jax.eval_shape(
            lambda x: module.init_with_output(jax.random.key(0), x, train=True)[0], beats
        )

    output = run(Generator(width, latent, length, leads, output_bias=bias))
    assert output.x_hat.shape == beats.shape
    assert output.z.shape == (batch, latent)
    assert [a.shape for a in output.encoder] == stages
    assert [a.shape for a in output.decoder] == stages[::-1]
    verdict = run(Discriminator(width))
    assert verdict.logit.shape == (batch,)
    assert verdict.features.shape == stages[-1]
    assert {a.dtype for a in jax.tree.leaves((output, verdict))} == {jnp.dtype("float32")}


@pytest.mark.parametrize("length", [-32, 0, 1, 16, 31, 33, 300])
def test_a_length_that_five_stages_cannot_halve_is_rejected(length):
    message = f"{length} samples.*multiple of 32"
    with pytest.raises(ValueError, match=message):
        check_length(length)
    with pytest.raises(ValueError, match=message):
        multiply_accumulates(Generator(4, 6, length, 1))
    if length > 0:
        with pytest.raises(ValueError, match=message):
            shapes(Generator(4, 6, length, 1), (length, 1))
        with pytest.raises(ValueError, match=message):
            shapes(Discriminator(4), (length, 1))


@pytest.mark.parametrize("beat", [(64, 2), (32, 1), (32, 3), (2, 32)])
def test_beats_of_another_shape_are_rejected(beat):
    with pytest.raises(ValueError, match=r"made for \(32, 2\)"):
        shapes(SMALL, beat)


def test_multiply_accumulates_are_half_of_the_compilers_operations():
    """On a long beat: there the padding, one pair of samples a stage, is next to nothing."""
    module = Generator(32, 50, 3200, 2)
    beat = jax.ShapeDtypeStruct((1, 3200, 2), jnp.float32)
    apply = jax.jit(lambda v, x: module.apply(v, x, train=False).x_hat)
    compiled = apply.lower(shapes(module, (3200, 2)), beat).compile()
    counted = compiled.cost_analysis()["flops"] / 2
    assert 1 < counted / multiply_accumulates(module) < 1.03


def test_multiply_accumulates_of_the_smallest_network():
    """By hand, width 1, latent 1, one lead, 32 samples: outputs x 4 taps x channels in and out."""
    encoder = 4 * (16 * 1 * 1 + 8 * 1 * 2 + 4 * 2 * 4 + 2 * 4 * 8 + 1 * 8 * 16)
    assert multiply_accumulates(Generator(1, 1, 32, 1)) == 2 * (encoder + 16)


def test_an_encoder_is_half_of_its_autoencoder():
    whole = multiply_accumulates(Generator(8, 50, 320, 1))
    assert 2 * encoder_multiply_accumulates(8, 50, 320, channels=1) == whole
    # Kernels of four: 1 to 2 channels at 16 samples, 2 to 4 at 8, and so on; then one output.
    by_hand = 4 * (1 * 2 * 16 + 2 * 4 * 8 + 4 * 8 * 4 + 8 * 16 * 2 + 16 * 32 * 1) + 32
    assert encoder_multiply_accumulates(2, 1, 32, channels=1) == by_hand


def test_numbers_in_a_tree():
    assert (
        count_parameters({"a": np.zeros((2, 3)), "b": {"c": np.zeros(5), "d": np.zeros(())}}) == 12
    )


# --- first draws -------------------------------------------------------------------------------


def test_a_centred_kernel_keeps_a_constant_at_zero():
    """All channels at one level, as after the last ReLU: no output but at the edges."""
    kernel = centred_xavier_normal(jax.random.key(0), (4, 32, 3))
    out = strided_conv_transpose(jnp.ones((1, 9, 32)), kernel)
    np.testing.assert_allclose(out[0, 1:-1], 0, atol=1e-5)
    even, odd = np.asarray(kernel)[1::2], np.asarray(kernel)[0::2]
    np.testing.assert_allclose([even.mean((0, 1)), odd.mean((0, 1))], 0, atol=1e-7)
    # Xavier normal otherwise: variance 2 / (fan in + fan out).
    assert float(kernel.std()) == pytest.approx((2 / (4 * (32 + 3))) ** 0.5, rel=0.1)


@pytest.mark.parametrize("bias", [False, True])
def test_only_a_decoder_with_an_output_bias_is_drawn_centred(bias):
    module = Decoder(width=1, length=32, channels=3, output_bias=bias)
    init = jax.jit(module.init, static_argnames="train")
    key = jax.random.key(0, impl="rbg")  # compiles in less time than the default
    params = init(key, jnp.zeros((1, 2)), train=False)["params"]
    means = {name: abs(float(params[name].mean())) for name in params if "conv" in name}
    assert (means.pop("conv4") < 1e-7) == bias
    assert min(means.values()) > 1e-4
    assert ("bias" in params) == bias


def test_batchnorm_scales_start_near_one():
    scale = near_one(jax.random.key(0), (20_000,))
    assert float(scale.mean()) == pytest.approx(1, abs=1e-3)
    assert float(scale.std()) == pytest.approx(0.02, rel=0.05)


def test_redrawn_weights_are_distributed_as_first_draws():
    """Leaf by leaf of a whole discriminator: Xavier's deviation, scales near one, no offset."""
    critic = Discriminator(8)
    params = shapes(critic, (64, 2))["params"]
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), params)
    drawn_anew = jax.jit(redraw)(params, jax.random.key(0))
    assert jax.tree.structure(drawn_anew) == jax.tree.structure(params)
    flat = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(drawn_anew):
        name, values = path[-1].key, np.asarray(leaf)
        if name == "bias":
            np.testing.assert_array_equal(values, 0)
            continue
        mean, deviation = 0.0, 0.02
        if name == "scale":
            mean = 1.0
        else:
            assert values.shape[0] == (2 if name == "head" else 4)
            deviation = (2 / (values.shape[0] * sum(values.shape[1:]))) ** 0.5
        standard = (values.ravel() - mean) / deviation
        flat.append(standard)
        # Five standard errors of the mean and of the deviation of so many normals.
        assert abs(standard.mean()) < 5 / standard.size**0.5, path
        assert abs(standard.std() - 1) < 5 / (2 * standard.size) ** 0.5, path
    assert len(np.unique(np.concatenate(flat))) > 0.99 * sum(map(len, flat))  # none drawn twice
    other = jax.jit(redraw)(params, jax.random.key(1))
    assert not np.array_equal(other["encoder"]["head"], drawn_anew["encoder"]["head"])


# --- training and inference mode ---------------------------------------------------------------


def first_normalised_layer(params, x):
    x = strided_conv(x, params["conv0"])
    return np.asarray(strided_conv(jnp.where(x > 0, x, 0.2 * x), params["conv1"]), np.float64)


def test_running_statistics_keep_nine_tenths(beats, variables, trained):
    """new = 0.9 old + 0.1 of this batch, over beats and time, the variance divided by n."""
    seen = first_normalised_layer(variables["params"]["encoder"], beats)
    old = variables["batch_stats"]["encoder"]["norm1"]
    new = trained[1]["batch_stats"]["encoder"]["norm1"]
    for name, batch in (("mean", seen.mean((0, 1))), ("var", seen.var((0, 1)))):
        expected = 0.9 * np.asarray(old[name], np.float64) + 0.1 * batch
        np.testing.assert_allclose(new[name], expected, rtol=1e-6)


def normalised(seen, mean, var, params):
    scale, bias = np.asarray(params["scale"]), np.asarray(params["bias"])
    out = (seen - np.asarray(mean)) / np.sqrt(np.asarray(var) + 1e-5) * scale + bias
    return np.where(out > 0, out, 0.2 * out)


def test_training_normalises_by_the_batch_inference_by_the_running_statistics(
    beats, variables, trained, infer
):
    params = variables["params"]["encoder"]
    seen = first_normalised_layer(params, beats)
    by_batch = normalised(seen, seen.mean((0, 1)), seen.var((0, 1)), params["norm1"])
    np.testing.assert_allclose(trained[0].encoder[1], by_batch, rtol=1e-4, atol=1e-5)
    running = variables["batch_stats"]["encoder"]["norm1"]
    by_running = normalised(seen, running["mean"], running["var"], params["norm1"])
    output, _ = infer(variables, beats)
    np.testing.assert_allclose(output.encoder[1], by_running, rtol=1e-4, atol=1e-5)


def test_every_normalisation_learns_its_statistics(variables, trained):
    unchanged = jax.tree.map(
        lambda a, b: bool((a == b).any()), variables["batch_stats"], trained[1]["batch_stats"]
    )
    assert not any(jax.tree.leaves(unchanged))
    assert len(jax.tree.leaves(unchanged)) == 2 * (4 + 5)  # encoder, decoder; none on the first


def test_inference_leaves_the_statistics_alone(beats, variables, infer):
    _, after = infer(variables, beats)
    jax.tree.map(np.testing.assert_array_equal, variables["batch_stats"], after["batch_stats"])


def test_inference_sees_each_beat_by_itself(beats, variables, infer, trained):
    """A beat's output is the same in other company; in training mode it is not."""
    company = beats.at[1:].set(0.5)
    alone, _ = infer(variables, company)
    together, _ = infer(variables, beats)
    np.testing.assert_array_equal(alone.x_hat[0], together.x_hat[0])
    assert float(jnp.abs(trained[0].x_hat[0] - together.x_hat[0]).max()) > 1e-3


def test_reconstructions_lie_within_the_beats_range(trained):
    assert float(jnp.abs(trained[0].x_hat).max()) <= 1


def test_the_critics_features_are_what_its_logit_is_made_of(beats):
    variables = drawn(CRITIC, (32, 2))
    verdict = jax.jit(lambda v, x: CRITIC.apply(v, x, train=False))(variables, beats)
    head = np.asarray(variables["params"]["encoder"]["head"])[..., 0]
    logit = (np.asarray(verdict.features) * head).sum((1, 2))
    np.testing.assert_allclose(verdict.logit, logit, rtol=1e-4, atol=1e-6)


# --- scores ------------------------------------------------------------------------------------


def test_a_score_is_the_mean_squared_error_over_time_and_leads():
    x = jnp.zeros((2, 2, 2))
    x_hat = jnp.asarray([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, -2.0]]])
    np.testing.assert_allclose(anomaly_score(x_hat, x), [30 / 4, 4 / 4])


@pytest.mark.parametrize("other", [(2, 8, 1), (1, 8, 2), (2, 8), (2, 4, 2)])
def test_a_score_needs_equal_shapes(other):
    with pytest.raises(ValueError, match="shapes must agree"):
        anomaly_score(jnp.zeros(other), jnp.zeros((2, 8, 2)))
