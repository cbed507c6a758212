"""Values, gradients and limits of each loss term, in float64 unless a test says otherwise."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.test_util import check_grads

from kdjax.models import losses

pytestmark = pytest.mark.usefixtures("x64")

# x64 stays on for all examples of a test, as it should.
few = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
BEATS = 8
# Hundredths: none so close to another that float64 itself is at its end.
scores = hnp.arrays(np.int64, BEATS, elements=st.integers(-1000, 1000)).map(lambda a: a / 100)
temperatures = st.sampled_from([0.5, 4.0])

response_kl = jax.jit(losses.response_kl, static_argnames="temperature")
gradient_kl = jax.jit(jax.grad(losses.response_kl), static_argnames="temperature")


def textbook_kl(student, teacher, temperature, weight=None):
    """T^2 sum p (log p - log q) with SciPy's log_softmax, in float64."""
    student, teacher = np.asarray(student, np.float64), np.asarray(teacher, np.float64)
    log_weight = 0 if weight is None else np.log(np.asarray(weight, np.float64))
    log_p = scipy.special.log_softmax(teacher / temperature + log_weight)
    log_q = scipy.special.log_softmax(student / temperature + log_weight)
    return temperature**2 * np.sum(np.exp(log_p) * (log_p - log_q))


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


# --- every term --------------------------------------------------------------------------------

BEAT, LOGIT, FEATURE, LATENT = (4, 6, 2), (4,), (4, 5, 3), (4, 5)
TERMS = {
    "reconstruction": (losses.reconstruction, BEAT),
    "feature_matching": (losses.feature_matching, FEATURE),
    "discriminator_bce": (losses.discriminator_bce, LOGIT),
    "response_kl": (partial(losses.response_kl, temperature=4.0), LOGIT),
    "distilled_reconstruction": (losses.distilled_reconstruction, BEAT),
    "attention_transfer": (lambda s, t: transfer([s], [t]), FEATURE),
    "log_ratio": (lambda s, t: losses.log_ratio(jnp.exp(s), jnp.exp(t)), LOGIT),
    "latent": (losses.latent, LATENT),
}


def transfer(student, teacher, weight=None):
    """Attention transfer between layers [B, T, C]."""
    maps = ([losses.attention(layer) for layer in layers] for layers in (student, teacher))
    return losses.attention_transfer(*maps, weight)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("change", ["fewer beats", "one beat", "shorter", "another axis"])
def test_unequal_shapes_are_rejected_not_broadcast(name, change):
    term, shape = TERMS[name]
    other = {
        "fewer beats": (shape[0] - 1, *shape[1:]),
        "one beat": (1, *shape[1:]),
        "shorter": (*shape[:1], 1, *shape[2:]) if len(shape) > 1 else (*shape, 1),
        "another axis": (1, *shape),
    }[change]
    for a, b in ((shape, other), (other, shape)):
        with pytest.raises(ValueError, match=r"must agree|axis|one number a beat"):
            jax.eval_shape(term, np.ones(a), np.ones(b))


@pytest.mark.parametrize("weight", [(1,), (5,), (4, 1)])
def test_weights_that_are_not_one_a_beat_are_rejected(weight):
    weight = np.ones(weight)
    beats, scores, latents = np.ones(BEAT), np.ones(LOGIT), np.ones(LATENT)
    for call in (
        lambda: losses.distilled_reconstruction(beats, beats, weight),
        lambda: losses.response_kl(scores, scores, 4.0, weight=weight),
        lambda: losses.attention_transfer([latents], [latents], weight),
        lambda: losses.log_ratio(scores, scores, weight),
        lambda: losses.latent(latents, latents, weight),
        lambda: losses.relation(latents, latents, weight),
    ):
        with pytest.raises(ValueError, match="must agree"):
            jax.eval_shape(call)


@pytest.mark.parametrize("name", [*TERMS, "adversarial_bce", "relation"])
def test_gradient_is_not_zero_and_is_that_of_finite_differences(name):
    """In the student, the first argument; of the discriminator's loss in both."""
    if name == "adversarial_bce":
        term, inputs = losses.adversarial_bce, (draw(0, *LOGIT),)
    elif name == "relation":
        teacher = draw(1, 4, 3)
        term, inputs = lambda s: losses.relation(s, teacher), (draw(0, *LATENT),)
    elif name == "discriminator_bce":
        term, inputs = (
            lambda r, f: sum(losses.discriminator_bce(r, f)),
            (
                draw(0, *LOGIT),
                draw(1, *LOGIT),
            ),
        )
    else:
        function, shape = TERMS[name]
        teacher = draw(1, *shape)
        term, inputs = lambda s: function(s, teacher), (draw(0, *shape),)
    term = jax.jit(term)
    check_grads(term, inputs, order=1, modes=("rev",), rtol=1e-7)
    for gradient in jax.grad(term, argnums=tuple(range(len(inputs))))(*inputs):
        assert float(jnp.abs(gradient).min()) > 1e-6  # no entry is forgotten


# --- the network's own terms -------------------------------------------------------------------


def test_squared_differences_by_hand():
    x = jnp.asarray([[[1.0], [2.0]], [[3.0], [4.0]]])
    x_hat = jnp.asarray([[[1.0], [0.0]], [[3.0], [7.0]]])
    assert losses.reconstruction(x_hat, x) == (4 + 9) / 4
    assert losses.feature_matching(x_hat, x) == (4 + 9) / 4


def test_cross_entropies_are_logarithms_of_probabilities():
    real, fake = np.array([2.0, -1.0, 0.0]), np.array([-3.0, 0.5, 1.0])

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    of_real, of_fake = losses.discriminator_bce(jnp.asarray(real), jnp.asarray(fake))
    assert float(of_real) == pytest.approx(-np.log(sigmoid(real)).mean(), rel=1e-14)
    assert float(of_fake) == pytest.approx(-np.log(1 - sigmoid(fake)).mean(), rel=1e-14)
    other = losses.adversarial_bce(jnp.asarray(fake))
    assert float(other) == pytest.approx(-np.log(sigmoid(fake)).mean(), rel=1e-14)
    undecided = losses.discriminator_bce(jnp.zeros(3), jnp.zeros(3))
    np.testing.assert_allclose(undecided, np.log(2))


def test_cross_entropies_of_a_sure_discriminator_are_finite():
    """Where log(sigmoid) would be -inf: the loss of a wrong verdict is its logit."""
    wrong, right = jnp.asarray([-1e4]), jnp.asarray([1e4])
    np.testing.assert_array_equal(losses.discriminator_bce(wrong, right), [1e4, 1e4])
    np.testing.assert_array_equal(losses.discriminator_bce(right, wrong), [0, 0])
    assert losses.adversarial_bce(wrong) == 1e4


# --- distillation of scores --------------------------------------------------------------------


@few
@given(scores, scores, temperatures)
def test_response_kl_is_the_textbooks(student, teacher, temperature):
    expected = textbook_kl(student, teacher, temperature)
    actual = float(response_kl(student, teacher, temperature))
    assert actual == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_response_kl_by_hand():
    """Two beats, T = 1: odds of 3 to 1 against even ones, 3/4 ln 3/2 + 1/4 ln 1/2."""
    teacher = jnp.asarray([np.log(3.0), 0.0])
    expected = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert float(losses.response_kl(jnp.zeros(2), teacher, 1.0)) == pytest.approx(expected)
    # a / T is the same where scores and T are doubled; the factor T^2 is four times.
    assert float(losses.response_kl(jnp.zeros(2), 2 * teacher, 2.0)) == pytest.approx(4 * expected)


@few
@given(scores, scores, hnp.arrays(np.int64, BEATS, elements=st.integers(0, 3)), temperatures)
def test_weights_multiply_the_terms_of_both_softmaxes(student, teacher, weight, temperature):
    """0 leaves a beat out: its scores do not matter, and it gets no gradient."""
    kept = weight > 0
    actual = float(response_kl(student, teacher, temperature, weight=weight.astype(float)))
    expected = (
        textbook_kl(student[kept], teacher[kept], temperature, weight[kept]) if kept.any() else 0
    )
    assert actual == pytest.approx(expected, rel=1e-9, abs=1e-12)
    elsewhere = np.where(kept, student, 77.0)
    assert response_kl(elsewhere, teacher, temperature, weight=weight.astype(float)) == actual
    gradient = gradient_kl(student, teacher, temperature, weight=weight.astype(float))
    np.testing.assert_array_equal(np.asarray(gradient)[~kept], 0)


@few
@given(scores, scores, st.permutations(range(BEATS)), st.integers(-500, 500))
def test_response_kl_knows_neither_order_nor_level(student, teacher, order, level):
    value = float(response_kl(student, teacher, 4.0))
    order = np.array(order)
    near = partial(pytest.approx, rel=1e-9, abs=1e-12)
    assert float(response_kl(student[order], teacher[order], 4.0)) == near(value)
    assert float(response_kl(student + level / 10, teacher, 4.0)) == near(value)
    assert float(response_kl(student, teacher + level / 10, 4.0)) == near(value)


@few
@given(scores, scores, temperatures)
def test_response_kl_is_zero_only_for_scores_equal_up_to_a_shift(student, teacher, temperature):
    value = float(response_kl(student, teacher, temperature))
    apart = np.ptp(student - teacher)
    assert value >= 0
    if apart < 1e-9:
        assert value == pytest.approx(0, abs=1e-18)
    elif apart < 1:  # a beat of small probability may differ by much and count for little
        assert value > 0


def flat_scores(spread):
    """20 batches of 64 scores of a student and a teacher, flat around 0.02 as real ones are."""
    noise = np.random.default_rng(0).standard_normal((20, 2, 64))
    return (0.02 + spread * noise).astype(np.float32)


def naive_kl(student, teacher, temperature):
    log_p = jax.nn.log_softmax(teacher / temperature)
    log_q = jax.nn.log_softmax(student / temperature)
    return temperature**2 * jnp.sum(jnp.exp(log_p) * (log_p - log_q))


def relative_errors(function, batches):
    """Of float32 against float64."""
    values = [function(jnp.asarray(s), jnp.asarray(t), 4.0) for s, t in batches]
    assert {v.dtype for v in values} == {jnp.dtype("float32")}
    expected = [textbook_kl(s, t, 4.0) for s, t in batches]
    return np.abs(np.array(values, np.float64) / expected - 1)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_response_kl_of_scores_far_beyond_an_exponential(temperature):
    """exp overflows at 710 in float64: only differences to the highest score are raised."""
    student, teacher = jnp.array([4000.0, 4002.0, 3999.0]), jnp.array([4001.0, 4000.0, 4003.0])
    for shift in (0, 8000):  # the highest score far above zero, or far below
        a, b = student - shift, teacher - shift
        expected = response_kl(student - 4000, teacher - 4000, temperature)
        np.testing.assert_allclose(response_kl(a, b, temperature), expected, 1e-12)


@pytest.mark.parametrize("spread", [1e-3, 1e-4])
def test_response_kl_keeps_float32s_digits_on_flat_scores(spread):
    """About half the variance of a_s - a_t, 1e-6 and 1e-8 here; the textbook's form loses it."""
    batches = flat_scores(spread)
    assert relative_errors(response_kl, batches).max() < 1e-4
    assert (
        np.median(relative_errors(jax.jit(naive_kl, static_argnames="temperature"), batches)) > 0.01
    )


def test_gradient_of_response_kl_keeps_float32s_digits_on_flat_scores():
    """T (q - p), q and p in float64."""
    for student, teacher in flat_scores(1e-3)[:3]:
        actual = np.asarray(gradient_kl(jnp.asarray(student), jnp.asarray(teacher), 4.0))
        q, p = (scipy.special.softmax(a.astype(np.float64) / 4) for a in (student, teacher))
        expected = 4 * (q - p)
        assert actual.dtype == np.float32
        assert np.abs(actual - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_no_beat_selected_is_no_loss_and_no_gradient(dtype):
    student, teacher = draw(0, BEATS).astype(dtype), draw(1, BEATS).astype(dtype)
    nobody = jnp.zeros(BEATS, dtype)
    assert response_kl(student, teacher, 4.0, weight=nobody) == 0
    np.testing.assert_array_equal(
        gradient_kl(student, teacher, 4.0, weight=nobody), np.zeros(BEATS)
    )


@pytest.mark.parametrize("temperature", [0, 0.0, -1.0])
def test_the_temperature_must_be_above_zero(temperature):
    with pytest.raises(ValueError, match="must be above 0"):
        losses.response_kl(jnp.ones(3), jnp.ones(3), temperature)


# --- distillation of reconstructions and features ----------------------------------------------


def test_distilled_reconstruction_weighs_beats():
    """The sum is divided by all beats: half of them left out is half a batch's loss."""
    student = jnp.asarray([[[1.0], [1.0]], [[2.0], [4.0]]])
    teacher = jnp.zeros((2, 2, 1))
    assert losses.distilled_reconstruction(student, teacher) == (1 + 10) / 2

    def only(*w):
        return losses.distilled_reconstruction(student, teacher, jnp.asarray(w))

    assert only(1.0, 0.0) == 1 / 2
    assert only(0.0, 1.0) == 10 / 2
    assert only(0.0, 0.0) == 0


def numpy_attention(features):
    energy = np.square(np.asarray(features)).mean(2)
    return energy / np.linalg.norm(energy, axis=1, keepdims=True)


def test_attention_transfer_is_its_formula():
    """Two layers; the student's have half the channels and other values."""
    student = [draw(0, 4, 6, 2), draw(1, 4, 3, 4)]
    teacher = [draw(2, 4, 6, 4), draw(3, 4, 3, 8)]
    weight = np.array([1.0, 0.0, 1.0, 1.0])
    squares = [
        np.square(numpy_attention(s) - numpy_attention(t)).mean(1)
        for s, t in zip(student, teacher, strict=True)
    ]
    expected = sum(square.mean() for square in squares)
    assert float(transfer(student, teacher)) == pytest.approx(expected, rel=1e-12)
    weighted = sum((weight * square).mean() for square in squares)
    actual = transfer(student, teacher, jnp.asarray(weight))
    assert float(actual) == pytest.approx(weighted, rel=1e-12)


def test_attention_by_hand():
    """Two channels, two samples: energies 4 and 3 become 0.8 and 0.6."""
    features = jnp.asarray([[[2.0, 2.0], [-1.0, 5**0.5]]])
    np.testing.assert_allclose(losses.attention(features), [[0.8, 0.6]], rtol=1e-15)


def test_attention_does_not_know_a_beats_scale():
    features = draw(0, 3, 6, 2)
    louder = features * jnp.asarray([1e-3, 7.0, 1e4])[:, None, None]
    np.testing.assert_allclose(losses.attention(louder), losses.attention(features), rtol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_dead_features_give_finite_gradients(dtype):
    """A ReLU that is shut for a whole beat."""
    student = draw(0, 3, 6, 2).astype(dtype).at[1].set(0)
    teacher = draw(1, 3, 6, 2).astype(dtype).at[2].set(0)
    loss = jax.jit(lambda s: transfer([s], [teacher]))
    value, gradient = jax.value_and_grad(loss)(student)
    assert jnp.isfinite(value)
    assert jnp.isfinite(gradient).all()
    assert (gradient[1] == 0).all()
    assert (gradient[0] != 0).any()


@pytest.mark.parametrize(("student", "teacher"), [(1, 2), (2, 1), (0, 1)])
def test_attention_transfer_needs_as_many_layers(student, teacher):
    layer = jnp.ones(LATENT)
    with pytest.raises(ValueError, match="layers against"):
        losses.attention_transfer([layer] * student, [layer] * teacher)


# --- distillation of the scores' ratio and of latents --------------------------------------------


def test_log_ratio_by_hand():
    """e^2 times, half of and just the teacher's score: (2^2 + ln^2 2 + 0) / 3."""
    teacher = jnp.asarray([0.01, 0.02, 3.0])
    student = teacher * jnp.asarray([np.e**2, 0.5, 1.0])
    expected = (4 + np.log(2) ** 2) / 3
    assert float(losses.log_ratio(student, teacher)) == pytest.approx(expected, rel=1e-12)
    assert float(losses.log_ratio(teacher, student)) == pytest.approx(expected, rel=1e-12)
    weight = jnp.asarray([0.0, 3.0, 1.0])  # the sum is divided by all beats
    weighted = float(losses.log_ratio(student, teacher, weight))
    assert weighted == pytest.approx(np.log(2) ** 2, rel=1e-12)


@few
@given(scores, scores, st.integers(-3, 3))
def test_log_ratio_does_not_know_the_scores_unit(student, teacher, decades):
    student, teacher, unit = np.exp(student), np.exp(teacher), 10.0**decades
    value = float(losses.log_ratio(jnp.asarray(student), jnp.asarray(teacher)))
    other = float(losses.log_ratio(jnp.asarray(unit * student), jnp.asarray(unit * teacher)))
    assert other == pytest.approx(value, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_log_ratio_of_a_perfect_reconstruction_is_finite(dtype):
    """A score of 0 counts as 1e-12."""
    loss = jax.value_and_grad(losses.log_ratio)
    value, gradient = loss(jnp.asarray([0.0, 1.0], dtype), jnp.asarray([1e-12, 0.0], dtype))
    assert float(value) == pytest.approx(np.log(1e-12) ** 2 / 2, rel=1e-6)
    assert jnp.isfinite(gradient).all()


def test_latent_by_hand():
    student = jnp.asarray([[1.0, 2.0], [0.0, 3.0]])
    teacher = jnp.asarray([[1.0, 0.0], [1.0, 0.0]])
    assert losses.latent(student, teacher) == (4 / 2 + 10 / 2) / 2
    assert losses.latent(student, teacher, jnp.asarray([1.0, 0.0])) == (4 / 2) / 2


# --- weights of the new terms ---------------------------------------------------------------------

WEIGHTED = {
    "log_ratio": lambda s, t, w: losses.log_ratio(jnp.exp(s[:, 0]), jnp.exp(t[:, 0]), w),
    "latent": losses.latent,
    "relation": losses.relation,
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_beat_of_weight_zero_has_no_say(name):
    """Neither its student's nor its teacher's side; the mean over the others is the batch's."""
    term = jax.jit(WEIGHTED[name])
    kept = np.array([True, False, True, True, False, True])
    weight = jnp.asarray(kept, float)
    student, teacher = draw(0, 6, 3), draw(1, 6, 3)
    value = float(term(student, teacher, weight))
    elsewhere = np.where(kept[:, None], student, 77.0), np.where(kept[:, None], teacher, 9.0)
    assert float(term(*map(jnp.asarray, elsewhere), weight)) == pytest.approx(value, rel=1e-12)
    gradient = jax.jit(jax.grad(WEIGHTED[name]))(student, teacher, weight)
    np.testing.assert_array_equal(gradient[~kept], 0)
    assert gradient[kept].any()
    alone = float(WEIGHTED[name](student[kept], teacher[kept], jnp.ones(kept.sum())))
    # Relations are averaged over the pairs there are, the others over all beats.
    share = 1 if name == "relation" else kept.mean()
    assert value == pytest.approx(share * alone, rel=1e-12)


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_term_of_no_beat_is_zero_and_has_no_gradient(name):
    """In float32, whose range is the smaller. One beat alone has no relation either."""
    student, teacher = (draw(seed, 4, 3).astype(jnp.float32) for seed in (0, 1))
    loss = jax.jit(jax.value_and_grad(WEIGHTED[name]))
    for chosen in (0, 1):
        value, gradient = loss(student, teacher, jnp.asarray([chosen, 0, 0, 0], jnp.float32))
        assert gradient.dtype == jnp.float32
        assert (value == 0) == (name == "relation" or not chosen)
        assert jnp.isfinite(gradient).all()
        assert gradient.any() == (value != 0)
