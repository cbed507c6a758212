"""PyTorch weights by their names; what they compute is in test_parity.py."""

import dataclasses
import json
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny

from kdjax.datasets import protocols
from kdjax.errors import InputError
from kdjax.runs import directory, evaluation, interop
from kdjax.runs.interop import convert_beatgan, from_beatgan

# Width 4, latent 6, two leads, 320 samples; names as PyTorch's state_dict has them.
GOLDEN = Path(__file__).parents[1] / "data/beatgan_w4_c2.npz"


@pytest.fixture(scope="module")
def weights():
    """State_dicts of generator and discriminator."""
    with np.load(GOLDEN) as file:
        return tuple(
            {k.removeprefix(who): file[k] for k in file.files if k.startswith(who)}
            for who in ("G3/", "D3/")
        )


def invented(width, latent, steps, leads):
    """State_dicts of another size, each number with its own value; PyTorch's layouts."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    widths = [width * 2**stage for stage in range(5)]

    def norm(name, size):
        parts = ("weight", "bias", "running_mean", "running_var")
        return {f"{name}.{part}": draw(size) for part in parts} | {
            f"{name}.num_batches_tracked": np.array(3)
        }

    def encoder(prefix, head, out):
        state = {f"{head}.weight": draw(out, widths[-1], steps)}
        ins = [leads, *widths]
        for stage, position in enumerate((0, 2, 5, 8, 11)):
            state[f"{prefix}.{position}.weight"] = draw(widths[stage], ins[stage], 4)
            if stage:
                state |= norm(f"{prefix}.{position + 1}", widths[stage])
        return state

    generator = encoder("encoder1", "encoder1.14", latent)
    generator["decoder.0.weight"] = draw(latent, widths[-1], steps)
    outs = [*widths[-2::-1], leads]
    for stage, position in enumerate((3, 6, 9, 12, 15)):
        generator[f"decoder.{position}.weight"] = draw(widths[-1 - stage], outs[stage], 4)
        generator |= norm(f"decoder.{position - 2}", widths[-1 - stage])
    return generator, encoder("features", "classifier.0", 1)


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


# --- names and shapes --------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("infix", ["", "main."])
def test_names_as_beatgan_and_as_data_parallel_save_them(weights, prefix, infix):
    """'module.encoder1.main.0.weight' is 'encoder1.0.weight'."""

    def rename(state, infix):
        return {prefix + name.replace(".", f".{infix}", 1): array for name, array in state.items()}

    generator, discriminator = weights
    found = convert_beatgan(rename(generator, infix), rename(discriminator, ""))
    plain = convert_beatgan(*weights)
    assert found.generator == plain.generator
    assert_same(found.generator_variables, plain.generator_variables)
    assert_same(found.discriminator_variables, plain.discriminator_variables)


@pytest.mark.parametrize(
    ("width", "latent", "steps", "leads"), [(4, 6, 10, 2), (3, 5, 1, 1), (8, 50, 2, 12)]
)
def test_every_size_is_inferred(width, latent, steps, leads):
    found = convert_beatgan(*invented(width, latent, steps, leads))
    g = found.generator
    assert (g.width, g.latent_dim, g.length, g.channels) == (width, latent, 32 * steps, leads)
    assert not g.output_bias
    assert found.discriminator.width == width


def test_every_number_finds_its_place():
    """Back by another way: by the stage's number, axes named one by one."""
    generator, discriminator = invented(3, 5, 2, 2)
    found = convert_beatgan(generator, discriminator)
    back = {}

    def put(name, array, axes):
        back[name] = np.einsum(f"kio->{axes}", array)

    def put_norm(name, params, stats, stage):
        back[f"{name}.weight"] = params[f"norm{stage}"]["scale"]
        back[f"{name}.bias"] = params[f"norm{stage}"]["bias"]
        back[f"{name}.running_mean"] = stats[f"norm{stage}"]["mean"]
        back[f"{name}.running_var"] = stats[f"norm{stage}"]["var"]

    def put_encoder(prefix, head, variables):
        params, stats = variables["params"]["encoder"], variables["batch_stats"]["encoder"]
        put(f"{prefix}.0.weight", params["conv0"], "oik")
        for stage in range(1, 5):
            put(f"{prefix}.{3 * stage - 1}.weight", params[f"conv{stage}"], "oik")
            put_norm(f"{prefix}.{3 * stage}", params, stats, stage)
        put(f"{head}.weight", params["head"], "oik")

    put_encoder("encoder1", "encoder1.14", found.generator_variables)
    put_encoder("features", "classifier.0", found.discriminator_variables)
    decoder = found.generator_variables["params"]["decoder"]
    put("decoder.0.weight", decoder["tail"], "iok")
    for stage in range(5):
        put(f"decoder.{3 * stage + 3}.weight", decoder[f"conv{stage}"], "iok")
        stats = found.generator_variables["batch_stats"]["decoder"]
        put_norm(f"decoder.{3 * stage + 1}", decoder, stats, stage)
    given = generator | discriminator
    assert_same(back, {name: a for name, a in given.items() if "num_batches" not in name})


def test_a_missing_array_is_named(weights):
    for who, state in enumerate(weights):
        for name in state:
            if "num_batches" in name:
                continue
            incomplete = list(weights)
            incomplete[who] = {n: a for n, a in state.items() if n != name}
            with pytest.raises(InputError, match=f"lack '{name}'"):
                convert_beatgan(*incomplete)


@pytest.mark.parametrize(
    ("who", "name", "shape", "named"),
    [
        (0, "encoder1.5.weight", (16, 8, 5), r"generator.*conv2.*\(5, 8, 16\).*\(4, 8, 16\)"),
        (0, "decoder.0.weight", (6, 64, 9), r"generator.*tail"),
        (0, "decoder.15.weight", (4, 1, 4), r"generator.*conv4"),
        (0, "decoder.4.running_mean", (16,), r"generator.*batch_stats.*norm1.*mean"),
        (1, "features.0.weight", (4, 3, 4), r"discriminator.*conv0"),
        (1, "classifier.0.weight", (2, 64, 10), r"discriminator.*head"),
        (0, "encoder1.0.weight", (4, 2), r"'encoder1.0.weight'.*\(4, 2\), 3 axes"),
        (1, "features.3.bias", (8, 1), r"'features.3.bias'.*\(8, 1\), 1 axes"),
    ],
)
def test_an_array_of_another_shape_is_named(weights, who, name, shape, named):
    wrong = list(weights)
    assert name in wrong[who]
    wrong[who] = wrong[who] | {name: np.zeros(shape, np.float32)}
    with pytest.raises(InputError, match=named):
        convert_beatgan(*wrong)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(weights, value):
    for who, name in ((0, "decoder.3.weight"), (1, "features.3.running_var")):
        wrong = list(weights)
        wrong[who] = wrong[who] | {name: np.full_like(wrong[who][name], value)}
        with pytest.raises(InputError, match=f"'{name}': NaN or infinity"):
            convert_beatgan(*wrong)


def test_fully_connected_networks_are_called_that(weights):
    """BeatGAN's for motion capture have layers of the same names."""
    linear = {"encoder1.0.weight": np.zeros((256, 256)), "encoder1.0.bias": np.zeros(256)}
    for networks in ((linear, weights[1]), (weights[0], linear)):
        with pytest.raises(InputError, match="fully connected networks"):
            convert_beatgan(*networks)


def test_a_detector_of_them_has_no_threshold(weights):
    detector = from_beatgan(*weights)
    assert detector.threshold is None
    assert detector.generator.channels == 2
    assert_same(detector.variables, convert_beatgan(*weights).generator_variables)


# --- run directories ---------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path, weights, monkeypatch):
    """Two files, and a reader that finds the golden weights in them."""
    paths = tmp_path / "G.pkl", tmp_path / "D.pkl"
    for path, content in zip(paths, (b"G", b"D"), strict=True):
        path.write_bytes(content)
    found = dict(zip(paths, weights, strict=True))
    monkeypatch.setattr(interop, "read_torch", found.__getitem__)
    return *paths, found


def test_an_imported_run_loads_as_any_other(tmp_path, weights, files):
    generator, discriminator, _ = files
    out = tmp_path / "runs/imported"
    interop.import_run(generator, discriminator, out)
    model = directory.load_model(out)
    plain = convert_beatgan(*weights)
    assert model.generator == plain.generator
    assert model.discriminator == plain.discriminator
    assert_same(model.variables["generator"], plain.generator_variables)
    assert_same(model.variables["discriminator"], plain.discriminator_variables)
    config = json.loads((out / directory.CONFIG).read_text())
    # printf G | sha256sum
    assert config["imported"]["generator"].startswith("333e0a1e27815d0ceee55c473fe3dc93")
    assert (config["data"]["dataset"], config["data"]["protocol"]) == ("mitbih", "beatgan")


def test_double_precision_weights_are_imported_in_single(tmp_path, files):
    generator, discriminator, found = files
    for path, state in found.items():
        found[path] = {name: np.asarray(a, np.float64) for name, a in state.items()}
    interop.import_run(generator, discriminator, tmp_path / "run")
    leaves = jax.tree.leaves(directory.load_model(tmp_path / "run").variables)
    assert {leaf.dtype for leaf in leaves} == {np.dtype("float32")}


def test_an_imported_run_replaces_nothing(tmp_path, files):
    generator, discriminator, _ = files
    out = tmp_path / "run"
    out.mkdir()
    with pytest.raises(InputError, match=r"run: already exists; name another --out"):
        interop.import_run(generator, discriminator, out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (((4, 6, 2, 2), (4, 6, 2, 2)), "beats of 64 samples, a run's have 320"),
        (((4, 6, 10, 2), (8, 6, 10, 2)), "width 8, the generator's is 4"),
    ],
)
def test_networks_that_make_no_run_are_refused(tmp_path, files, sizes, message):
    generator, discriminator, found = files
    found[generator], found[discriminator] = invented(*sizes[0])[0], invented(*sizes[1])[1]
    with pytest.raises(InputError, match=message):
        interop.import_run(generator, discriminator, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_networks_of_two_leads_are_scored_on_beats_of_two(tmp_path, files):
    """Which `kdjax evaluate` says on MIT-BIH's; then they load as any other run."""
    generator, discriminator, _ = files
    run = tmp_path / "run"
    interop.import_run(generator, discriminator, run, dataset="two")
    with pytest.raises(InputError, match=f"not a finished run; make .* kdjax evaluate {run}"):
        directory.load_run(run)
    beats = tiny.beat_set()
    parts = protocols.split(beats, "beatgan", 0, split_seed=0)
    with pytest.raises(InputError, match="import it again, with --dataset"):
        evaluation.evaluate(run, beats, parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "draw", lambda *_, **__: {})
        two = dataclasses.replace(beats, name="two", x=np.repeat(beats.x, 2, axis=2))
        evaluation.evaluate_run(run, two, parts)
    assert directory.load_run(run).generator.channels == 2


# --- files -------------------------------------------------------------------------------------


class Tensor:
    """What of torch.Tensor is used."""

    def __init__(self, array):
        self.array = array

    def numpy(self):
        return self.array


@pytest.fixture
def torch(monkeypatch):
    """A torch module whose `load` answers as told and keeps what it was asked."""
    fake = types.ModuleType("torch")
    fake.calls, fake.answer = [], {}

    def load(path, **options):
        fake.calls.append((path, options))
        if isinstance(fake.answer, Exception):
            raise fake.answer
        return fake.answer

    fake.load = load
    monkeypatch.setitem(sys.modules, "torch", fake)
    return fake


def test_files_are_never_unpickled(tmp_path, torch):
    """Through torch's safe loader, on the CPU, once."""
    path = tmp_path / "G.pkl"
    path.touch()
    torch.answer = {"a.weight": Tensor(np.arange(3.0))}
    state = interop.read_torch(path)
    assert torch.calls == [(path, {"map_location": "cpu", "weights_only": True})]
    assert_same(state, {"a.weight": np.arange(3.0)})


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("Weights only load failed.\nRe-running with weights_only=False"),
        RuntimeError("\x1b[1mdo those steps\x1b[0m to load it unsafely"),
        KeyError(),
        [Tensor(np.zeros(2))],  # not a dict
        {"epoch": 3},  # not tensors
    ],
)
def test_a_file_that_is_no_state_dict_is_one_line(tmp_path, torch, answer):
    """Nor is it tried again in another way."""
    path = tmp_path / "G.pkl"
    path.touch()
    torch.answer = answer
    with pytest.raises(InputError, match=r"G\.pkl: not a state_dict that torch loads") as caught:
        interop.read_torch(path)
    assert str(caught.value).isprintable()
    assert "unsafely" not in str(caught.value)
    assert len(torch.calls) == 1


@pytest.mark.usefixtures("torch")
def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"G\.pkl: no such file"):
        interop.read_torch(tmp_path / "G.pkl")


def test_torch_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"pip install -e '\.\[torch\]'"):
        interop.read_torch(tmp_path / "G.pkl")
