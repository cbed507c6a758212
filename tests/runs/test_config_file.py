"""Config files: found, run, and changed field by field."""

import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from kdjax import cli
from kdjax.errors import InputError
from kdjax.runs import config_file


@pytest.fixture
def own(tmp_path):
    """A folder of a user's own, with a config that imports its neighbours both ways."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "helper.py").write_text("SEEDS = (7,)")
    (folder / "good.py").write_text(
        "from own import helper\n"
        "from . import helper as same\n"
        "def get_config(part='x'):\n"
        "    return dict(base=part, seeds=helper.SEEDS + same.SEEDS)\n"
    )
    return folder


def test_a_file_is_given_by_path_with_or_without_an_argument(own):
    assert config_file.load(str(own / "good.py")).to_dict() == {"base": "x", "seeds": (7, 7)}
    assert config_file.load(f"{own / 'good.py'}:part").base == "part"
    assert not list(own.rglob("__pycache__"))


def test_a_shipped_config_is_given_by_its_name():
    assert config_file.names() == ["student", "student_small", "study", "teacher"]
    assert config_file.load("student:mitbih").data.dataset == "mitbih"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("seeds = 1", "AttributeError"),
        ("def get_config(): raise ValueError('no such part')", "no such part"),
        ("def get_config(): return 3", "int"),
        ("def get_config(:", "SyntaxError"),
        ("def get_config(name): return {}", "get_config.. missing 1 required"),
    ],
)
def test_a_file_that_fails_is_named_with_the_reason(tmp_path, text, wanted):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(InputError, match=rf"bad\.py: .*{wanted}"):
        config_file.load(str(tmp_path / "bad.py"))


def test_a_file_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(InputError, match=r"absent\.py: no such config file; .*student, student_s"):
        config_file.load("configs/absent.py")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs=3", 3),
        ("learning_rate=1", 1.0),
        ("data.dir=here", "here"),
        ("data.dataset=118", "118"),
        ("data.dir=None", None),
        ("grad_clip=2", 2.0),
        ("model.output_bias=false", False),
        ("eval.fpr_targets=(0.1, 0.2)", (0.1, 0.2)),
        ("eval.fpr_targets=0.1", (0.1,)),
        ("kd.select='quantile'", "quantile"),
    ],
)
def test_a_setting_takes_the_type_of_its_field(setting, value):
    config = config_file.load("student")
    config_file.override(config, [setting])
    for name in setting.partition("=")[0].split("."):
        config = config[name]
    assert config == value
    assert type(config) is type(value)


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("epochs", "give FIELD=VALUE"),
        ("epochs=1.5", "epochs: '1.5' is not a whole number"),
        ("epochs=True", "epochs: 'True' is not a whole number"),
        ("learning_rate=fast", "learning_rate: 'fast' is not a number"),
        (f"learning_rate=1{'0' * 400}", "0' is not a number"),
        ("epochs={[]: 1}", "is not a whole number"),
        ("model.output_bias=1", "model.output_bias: '1' is not True or False"),
        ("data.data_dir=x", "data has no field 'data_dir'; did you mean dir"),
        ("nothing=1", "no field 'nothing'; the fields are average_decay, batch_size"),
        ("kd=1", "kd: holds discriminator_features"),
        ("epochs.x=1", "epochs.x: epochs holds no fields"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(setting, wanted):
    config = config_file.load("student")
    with pytest.raises(InputError, match=wanted):
        config_file.override(config, [setting])
    assert config == config_file.load("student")


@settings(deadline=None)
@given(st.text())
def test_no_text_becomes_a_value_of_another_type(text):
    config = ConfigDict({"epochs": 1})
    with suppress(InputError):
        config_file.override(config, [f"epochs={text}"])
    assert type(config.epochs) is int


def test_a_config_is_a_python_file(tmp_path):
    (tmp_path / "config.txt").touch()
    with pytest.raises(InputError, match=r"config\.txt: a config is a Python file"):
        config_file.load(str(tmp_path / "config.txt"))


def test_a_shipped_config_has_no_suffix():
    for name in ("student.yaml", "student.txt"):
        with pytest.raises(InputError, match=f"{name}: no such config file"):
            config_file.load(name)


def test_a_config_without_an_argument_is_told_so(tmp_path):
    (tmp_path / "mine.py").write_text("def get_config(): return {'epochs': 1}")
    with pytest.raises(InputError, match=r"its get_config takes no argument; leave :mitbih out$"):
        config_file.load(f"{tmp_path / 'mine.py'}:mitbih")


def test_a_config_that_lacks_fields_is_no_study(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("def get_config(): return {'epochs': 1}")
    assert cli.main(["train", str(tmp_path / "mine.py")]) == 2
    assert re.search(r"^kdjax train: \w+: missing; see configs/", capsys.readouterr().err)
