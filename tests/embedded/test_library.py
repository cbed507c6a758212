"""The C library gives the integers that NumPy gives, and decides as the float detector does."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import kdjax
from kdjax import beats, cli
from kdjax.embedded import fixed, frontend, library, quantise, score, stream, trials
from kdjax.errors import InputError, ParityError
from kdjax.models.folded import fold
from kdjax.runs import export

SANITISED = ["-O1", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def detector():
    return kdjax.load_run("mitbih-w8")


@pytest.fixture(scope="module")
def made(detector):
    """The detector in integers, a signal and the decisions on it."""
    found, signal = library.integers(detector), library.test_signal(detector)
    return found, signal, stream.decide(found, signal)


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    """The library's files, and a signal of the first 80 beats with what is expected on it."""
    folder = tmp_path_factory.mktemp("c")
    found, signal, _ = made
    short = signal[: 80 * 300]
    for name, content in library.files(found, short, stream.decide(found, short)).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def sanitised(folder):
    """The program `check`, compiled without a warning and with sanitisers."""
    command = ["make", "check-host", f"CFLAGS={' '.join(SANITISED)}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "check-host"


def assert_same(program, integers, signal, decisions, where):
    """The library's decisions on a signal are those, to the last bit."""
    for name, content in library.files(integers, signal, decisions).items():
        if name in ("signal.bin", "expected.txt"):
            (where / name).write_bytes(content)
    command = [program, where / "signal.bin", where / "expected.txt"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"beats as expected: {len(decisions)}" in done.stdout


def test_the_c_library_gives_the_same_integers(made, sanitised, tmp_path):
    """On nine minutes, learning and decisions."""
    assert_same(sanitised, *made, tmp_path)
    assert {d.kind for d in made[2]} == {"N", "S", "V", "Q"}


def test_signals_that_no_heart_makes_give_the_same_integers(made, sanitised, tmp_path):
    """Noise up to both ends of int16, jumps, silence and spikes, then beats again."""
    rng = np.random.default_rng(5)
    hard = [
        rng.integers(-32768, 32768, 5000),
        np.where(np.arange(5000) // 400 % 2, 32767, -32768),
        np.zeros(9000, np.int64),
        np.where(np.arange(6000) % 97 < 3, 32767, rng.integers(-300, 300, 6000)),
        rng.normal(0, 8000, 6000).cumsum().clip(-32768, 32767).astype(np.int64),
    ]
    integers, signal, _ = made
    whole = np.concatenate([signal[:6000], *hard, signal[6000:12000]])
    decisions = stream.decide(integers, whole)
    assert {d.scored for d in decisions} == {True, False}
    assert_same(sanitised, integers, whole, decisions, tmp_path)


def test_beats_that_pause_fade_or_are_missing_give_the_same_integers(made, sanitised, tmp_path):
    """Three minutes without a beat, beats a fifth as high, then some of every height or none."""
    integers, signal, _ = made
    rng = np.random.default_rng(7)
    height = np.repeat(rng.choice([0, 0.3, 0.5, 1, 1.5], 200), 300)
    varied = (signal[18_000:78_000] * height).astype(np.int64)
    silence = np.zeros(70_000, np.int64)  # an interval beyond uint16
    parts = [signal[:6000], silence, signal[6000:12_000], signal[12_000:18_000] // 5, varied]
    whole = np.concatenate(parts)
    decisions = stream.decide(integers, whole)
    assert len(decisions) > 100
    assert_same(sanitised, integers, whole, decisions, tmp_path)


@pytest.mark.slow
def test_half_an_hour_gives_the_same_integers(detector, made, sanitised, tmp_path):
    rng = np.random.default_rng(6)
    folded = fold(detector.variables)
    x = trials.normal_beats(detector.calibration, folded, count=2300, rng=rng)
    signal = trials.signal(x, rng=rng)[: 1800 * frontend.FS]
    assert len(signal) == 1800 * frontend.FS
    assert_same(sanitised, made[0], signal, stream.decide(made[0], signal), tmp_path)


LATE = """
#include <stdio.h>
#include <stdlib.h>
#include "kdjax.h"

int main(int count, char **words) {
    static kdjax_state state; /* C++ as well as C */
    uint32_t start = count > 2 ? (uint32_t)strtoul(words[2], 0, 10) : 0;
    uint32_t jump = count > 3 ? (uint32_t)strtoul(words[3], 0, 10) : 0;
    FILE *file = fopen(words[1], "rb");
    kdjax_beat beat;
    kdjax_init(&state);
    if (count == 2) { /* beats of a caller whose places stand still, so that learning never ends */
        state.person.steps = 46339;
        for (int calls = 0; calls < 3; calls++) {
            for (int i = 0; i < KDJAX_WINDOW; i++) state.window[i] = (int16_t)(i % 40 * 500);
            beat.sample = beat.rr = 0;
            kdjax_score(&state, &beat);
        }
        printf("%u %u %u\\n", beat.scored, beat.learning, state.person.steps);
        return 0;
    }
    state.front.samples = start;
    for (int low, read = 0; (low = getc(file)) != EOF; read++) {
        int16_t sample = (int16_t)(low | getc(file) << 8);
        if (read == 12000) state.front.samples += jump;
        if (!kdjax_push(&state, sample, &beat)) continue;
        printf("%lu ", (unsigned long)(uint32_t)(beat.sample - start));
        printf("%lu %c %ld\\n", (unsigned long)beat.rr, beat.kind, (long)beat.score);
    }
}
"""


@pytest.fixture(scope="module")
def decided(folder):
    """The decisions on the short signal: of a first sample, and of samples left out."""
    (folder / "late.cpp").write_text(LATE)
    strict = ["-Wall", "-Wextra", "-Werror", "-fsanitize=undefined,address"]
    sources = [folder / name for name in folder.glob("kdjax_*.c")]
    objects = [file.with_suffix(".late.o") for file in sources]
    for source, made in zip(sources, objects, strict=True):
        compiled = ["gcc", "-std=c99", "-Wconversion", *strict, "-c", source, "-o", made]
        subprocess.run(compiled, check=True)
    subprocess.run(
        ["g++", *strict, f"-I{folder}", folder / "late.cpp", *objects, "-o", folder / "late"],
        check=True,
    )

    def run(start=0, jump=0):
        command = [folder / "late", folder / "signal.bin", str(start), str(jump)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [line.split() for line in done.stdout.splitlines()]

    return run


class TestPlaces:
    @pytest.mark.parametrize("before", [216, 6000, 20_003])
    def test_they_go_past_two_to_the_32_as_if_nothing_were(self, decided, before):
        expected = decided()
        assert len(expected) > 40
        assert decided(start=2**32 - before) == expected

    def test_learning_that_never_ends_goes_on(self, decided, folder):
        """The number of beats learnt is squared in 32 bits."""
        done = subprocess.run(
            [folder / "late", folder / "signal.bin"], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == ["1", "1", "46340"]

    @pytest.mark.parametrize("jump", [2**30, 2**31, 2**31 + 2**20, 2**32 - 2**20])
    def test_beats_are_found_again_after_a_pause_of_months(self, decided, jump):
        """A multiple of the rings' lengths, so that they stay whole."""
        expected = decided()
        found = decided(jump=jump)
        before = [row for row in expected if int(row[0]) < 11_500]
        assert found[: len(before)] == before
        assert len(found) > len(expected) - 5


def test_check_says_which_line_is_not_as_expected(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "c")
    lines = (tmp_path / "c/expected.txt").read_text().splitlines()
    changed = lines[5][:-1] + str((int(lines[5][-1]) + 1) % 10)
    (tmp_path / "c/expected.txt").write_text("\n".join([*lines[:5], changed, *lines[6:]]) + "\n")
    done = subprocess.run(["make", "check"], cwd=tmp_path / "c", capture_output=True, text=True)
    assert done.returncode != 0
    assert f"not expected: {lines[5]}" in done.stdout


@pytest.mark.parametrize("core", ["m4", "m0"])
def test_a_cortex_m_gives_the_same_integers(folder, core):
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: nothing is said of a Cortex-{core.upper()}")
    done = subprocess.run(
        ["make", f"check-{core}"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "beats as expected: " in done.stdout + done.stderr  # QEMU writes to either
    assert "instructions a beat: " in done.stdout + done.stderr


class TestParity:
    def test_decisions_are_those_of_the_float_detector(self, detector, made):
        found, signal, decisions = made
        parity = library.check(detector, found, signal=signal, decisions=decisions)
        assert parity.beats > 250
        assert parity.abnormal > 20
        assert parity.differ <= parity.near
        assert parity.median < 0.3

    def test_another_score_of_timing_is_refused(self, detector, made):
        found, signal, _ = made
        wrong = replace(found.score, timing=score.Tail(median=0, inverse=fixed.ONE))
        other = stream.Integers(found.network, wrong)
        decisions = stream.decide(other, signal)
        with pytest.raises(ParityError, match="does not decide"):
            library.check(detector, found, signal=signal, decisions=decisions)

    def test_a_threshold_below_half_of_every_score_is_refused(self, detector, made):
        found, signal, decisions = made
        low = stream.Integers(found.network, replace(found.score, threshold=-(2**20)))
        with pytest.raises(InputError, match="no score on the test signal is below twice"):
            library.check(detector, low, signal=signal, decisions=decisions)

    def test_an_export_with_another_score_of_shape_writes_nothing(
        self, detector, made, tmp_path, monkeypatch
    ):
        other = replace(made[0].score, shape=score.Tail(median=0, inverse=fixed.ONE))
        wrong = stream.Integers(made[0].network, other)
        monkeypatch.setattr(library, "integers", lambda _: wrong)
        with pytest.raises(ParityError, match="does not decide"):
            export.export_c("mitbih-w8", tmp_path / "watch")
        assert not (tmp_path / "watch").exists()

    def test_the_command_writes_a_folder_with_its_figures(self, tmp_path, capsys):
        out = tmp_path / "watch"
        assert cli.main(["export", "mitbih-w8", "--format", "c", "--out", str(out)]) == 0
        assert "decisions equal the run's; " in capsys.readouterr().out
        text = (out / "README.md").read_text()
        assert "| multiply-accumulates a beat | 1,3" in text
        differs = text.partition("## What differs from kdjax detect\n\n- ")[2]
        assert differs.startswith("It decides by one score, the adapted fusion")
        assert "rate of 1 %. `kdjax detect`" in differs
        assert "at a rate of 0.5 %." in differs
        assert cli.main(["export", "mitbih-w8", "--format", "c", "--out", str(out)]) == 2
        assert "name a new folder" in capsys.readouterr().err


def test_a_person_is_learnt_as_the_float_score_learns_one(made):
    """Running medians are near the medians, of numbers that vary much and of those that do not."""
    fitted, rng = made[0].score, np.random.default_rng(0)
    spread = {size: np.geomspace(20, 600, size) for size in (320, 50)}
    residual, latent = (
        np.rint(rng.uniform(-2000, 2000, size) + of * rng.normal(size=(400, size))).astype(int)
        for size, of in spread.items()
    )
    person = score.Person(fitted, frontend.FS)
    opinions = [person.push(residual[n], latent[n], sample=300 * n, rr=300) for n in range(400)]
    seen = slice(0, score.LEARNT * frontend.FS // 300)
    assert [opinion.learning for opinion in opinions].index(False) == seen.stop + 1
    for centre, values, of, usual, log in (
        (person.centre, residual, spread[320], person.usual[0], score.log_residual),
        (person.latent_centre, latent, spread[50], person.usual[1], score.log_latent),
    ):
        median = np.median(values[seen], axis=0)
        assert np.sqrt(np.square((centre - median) / of).mean()) < 0.1
        exact = np.median(log(fitted, values[seen] - median.astype(int)))
        assert abs(usual - exact) < 0.05 * fixed.ONE


def test_a_detector_without_calibration_is_refused(detector):
    with pytest.raises(InputError, match="calibration"):
        library.integers(replace(detector, calibration=None))


class TestFixed:
    def test_logarithms(self):
        value = np.concatenate([np.arange(1, 70_000), (1 << np.arange(62)) + 1, [2**63 - 1]])
        exact = np.log2(value.astype(np.longdouble))
        assert np.abs(fixed.log2(value) / fixed.ONE - exact).max() < 6e-5

    def test_softplus_and_tanh(self):
        value = np.arange(-30 * fixed.ONE, 30 * fixed.ONE, 997)
        exact = np.logaddexp2(0, value / fixed.ONE)
        assert np.abs(fixed.softplus2(value) / fixed.ONE - exact).max() < 1e-4
        value = np.arange(-32768, 32768)
        assert np.abs(fixed.tanh(value) / 2**14 - np.tanh(value / 2**12)).max() < 2e-4

    @pytest.mark.parametrize("factor", [1e-6, 0.003, 0.3, 0.49999])
    def test_a_multiplier_stands_for_its_factor(self, factor):
        multiplier, shift = fixed.multiplier_of(factor)
        assert multiplier < 1 << 16
        assert multiplier / 2.0**shift == pytest.approx(factor, rel=2**-16)
        assert fixed.rescale(np.array(12345), multiplier, shift) == round(12345 * factor)

    def test_a_factor_that_no_shift_fits_is_refused(self):
        with pytest.raises(ValueError, match="beyond what integers rescale by"):
            fixed.multiplier_of(0.5)

    def test_square_root_and_division_towards_zero(self):
        value = np.arange(100_000) ** 2
        np.testing.assert_array_equal(fixed.square_root(value), np.arange(100_000))
        np.testing.assert_array_equal(fixed.square_root(value[1:] - 1), np.arange(99_999))
        assert fixed.divide(np.array(-7), np.array(2)) == -3


class TestNetwork:
    def test_reconstructs_as_the_float_network_does(self, detector, made):
        x = np.random.default_rng(3).uniform(-1, 1, (1, 8, 2)).repeat(40, 1)[..., :1]
        x = np.concatenate([x, detector.calibration.beat[None].astype(np.float64)])
        network = made[0].network
        integers = np.rint(x[..., 0] * 2**quantise.BEAT_BITS).astype(np.int64)
        residual, latent = stream.reconstruct(network, integers)
        exact = quantise.float_activations(fold(detector.variables), x)
        scale = network.layers["head"].scale
        assert np.abs(latent * scale - exact["head"])[1].max() < 0.2
        expected = detector.reconstruct(x.astype(np.float32)) - x
        assert np.abs(residual / 2**14 - expected[..., 0])[1].max() < 0.05

    def test_float_activations_are_the_networks(self, detector):
        x = detector.calibration.beat[None]
        found = quantise.float_activations(fold(detector.variables), x)["decoder4"]
        np.testing.assert_allclose(np.tanh(found), detector.reconstruct(x), atol=1e-5)

    def test_sums_beyond_32_bits_are_refused(self, detector, made):
        folded = fold(detector.variables)
        loud = folded.head._replace(bias=folded.head.bias + 1e9)
        with pytest.raises(InputError, match="beyond 32 bits"):
            quantise.quantise(folded._replace(head=loud), detector.calibration.beat[None])


class TestFrontEnd:
    def test_the_band_pass_is_that_of_beats(self):
        signal = np.random.default_rng(0).normal(0, 300, 4000).cumsum() / 5
        signal = np.rint(signal).astype(np.int64)
        found = frontend.bandpass(signal)[400:-400] / frontend.OUTPUT_PER_MILLIVOLT
        expected = beats.bandpass((signal - signal[0]) / 1000, beats.FS)[400:-400]
        assert np.abs(found - expected).max() < 0.003

    def test_an_offset_changes_nothing(self):
        signal = np.random.default_rng(0).integers(-1000, 1000, 1000)
        np.testing.assert_array_equal(
            frontend.bandpass(signal), frontend.bandpass(signal + 300_000)
        )

    def test_finds_the_beats_of_a_signal(self, made):
        _, _, decisions = made
        places = np.array([d.sample for d in decisions])
        assert len(places) >= 625  # of 640, the first eight seconds apart
        assert np.diff(places).min() >= frontend.WAIT

    def test_a_lead_that_is_off_gives_no_decision(self, made):
        found, signal, _ = made
        signal = signal[:12_000].copy()
        signal[6_000:] = signal[6_000]
        decisions = stream.decide(found, signal)
        assert decisions[-1].sample < 6_100
        assert len(decisions) > 5
