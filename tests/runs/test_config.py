import copy
import hashlib
import json
import math
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from configs import student, student_small, teacher
from kdjax.errors import InputError
from kdjax.fields import WEIGHT as WEIGHT_RULE
from kdjax.fields import declare
from kdjax.runs import claim
from kdjax.runs import config as configs

SHIPPED = {"teacher": teacher, "student": student, "student_small": student_small}
NOT_COUNTS = [-1, 1.5, True, "2", None]
NOT_NUMBERS = [math.nan, math.inf, 1e39, -1e39, True, "1", None]
WEIGHT = [-0.5, *NOT_NUMBERS]

# What each field must refuse. `fields()` checks that none is left out.
WRONG = {
    "epochs": [0, *NOT_COUNTS],
    "batch_size": [1, *NOT_COUNTS],
    "seed": NOT_COUNTS,
    "learning_rate": [0.0, -1e-4, *NOT_NUMBERS],
    "precision": ["float64", "", None],
    "grad_clip": [0.0, -1.0, math.nan, math.inf, True, "1"],
    "average_decay": [-0.1, 1, *NOT_NUMBERS],
    "data.dataset": ["", None, 1],
    "data.protocol": ["", None, 1],
    "data.fold": NOT_COUNTS,
    "data.split_seed": NOT_COUNTS,
    "data.dir": [1, ("a",)],
    "data.augment": ["noise", "", None, True],
    "model.width": [0, *NOT_COUNTS],
    "model.latent_dim": [0, *NOT_COUNTS],
    "model.output_bias": [0, 1, "True", None],
    "loss.reconstruction": WEIGHT,
    "loss.feature_matching": WEIGHT,
    "loss.adversarial": WEIGHT,
    "eval.fpr_targets": [(), (0.0,), (0.1, 1.0), (math.nan,), ("0.1",), 0.1, None, "0.1"],
    "teacher.scorer": ["mahalanobis", "", None],
    "teacher.workdir": [1, ("a",)],
    "teacher.epochs": [0, *NOT_COUNTS],
    "teacher.model.width": [0, *NOT_COUNTS],
    "teacher.model.latent_dim": [0, *NOT_COUNTS],
    "teacher.model.output_bias": [0, 1, "True", None],
    "kd.response": WEIGHT,
    "kd.response_scores": ["logit", "", None],
    "kd.temperature": [0.0, -1.0, 0.99, *NOT_NUMBERS],
    "kd.log_ratio": WEIGHT,
    "kd.reconstruction": WEIGHT,
    "kd.feature": WEIGHT,
    "kd.latent": WEIGHT,
    "kd.relation": WEIGHT,
    "kd.discriminator_features": WEIGHT,
    "kd.select": ["best", "", None],
    "kd.select_quantile": [0.0, 1.1, -0.5, *NOT_NUMBERS],
    "kd.transfer": ["mixed", "", None],
}
# The least and the most that some fields take.
EDGES = {
    "epochs": [1],
    "batch_size": [2],
    "seed": [0],
    "learning_rate": [1],
    "precision": list(configs.PRECISIONS),
    "grad_clip": [None, 0.5],
    "average_decay": [0, 0.999],
    "data.dir": [None, "here"],
    "data.augment": ["none", "time_warp"],
    "model.width": [1],
    "model.output_bias": [False, True],
    "loss.adversarial": [0, 1.5],
    "eval.fpr_targets": [(0.5,), [0.01, 0.99]],
    "teacher.scorer": configs.SCORERS,
    "teacher.workdir": [None, "runs/teacher"],
    "kd.response_scores": ["raw", "minmax", "standardised", "log"],
    "kd.temperature": [1, 2.5],
    "kd.select": ["all", "teacher_better", "quantile"],
    "kd.select_quantile": [1, 0.01],
    "kd.transfer": ["none", "perturbed"],
}


def plain(make=student, dataset="synthetic"):
    return make.get_config(dataset).to_dict()


def fields(values, prefix=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def changed(name, value):
    """A student's config with another value in one field or block; `...` takes it away."""
    values = plain()
    *blocks, last = name.split(".")
    block = values
    for step in blocks:
        block = block[step]
    if value is ...:
        del block[last]
    else:
        block[last] = value
    return ConfigDict(values)


def refusal(config):
    with pytest.raises(InputError) as caught:
        configs.check(config)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("dataset", teacher.DATASETS)
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_configs_are_right(name, dataset):
    config = SHIPPED[name].get_config(dataset)
    configs.check(config)
    assert configs.is_student(config) == (name != "teacher")
    assert config.data.dataset == dataset


def test_a_shipped_config_takes_own_recordings_as_it_takes_mitbih():
    for make in SHIPPED.values():
        own, real = make.get_config("my-holters"), make.get_config("mitbih")
        assert configs.differences(real, own) == ["data.dataset: mitbih there, my-holters now"]


def test_these_tests_know_every_field():
    assert set(WRONG) == set(fields(plain()))


@pytest.mark.parametrize("name", WRONG)
def test_values_out_of_range_are_named(name):
    for value in WRONG[name]:
        message = refusal(changed(name, value))
        assert message.startswith(f"{name} is {value!r}; it must be ")


@pytest.mark.parametrize("name", EDGES)
def test_values_at_the_edge_are_accepted(name):
    for value in EDGES[name]:
        configs.check(changed(name, value))


BLOCKS = ["data", "model", "loss", "eval", "teacher", "teacher.model", "kd"]


@pytest.mark.parametrize("name", [*WRONG, *BLOCKS])
def test_missing_fields_are_named(name):
    assert refusal(changed(name, ...)).startswith(f"{name}: missing; ")


@pytest.mark.parametrize("name", ["epoch", *(f"{block}.epoch" for block in BLOCKS)])
def test_unknown_fields_are_named_beside_those_there_are(name):
    message = refusal(changed(name, 1))
    assert message.startswith(f"{name}: no such field; the fields are ")
    block = plain()
    for step in name.split(".")[:-1]:
        block = block[step]
    assert message.endswith(", ".join(sorted(block, key=message.index)))


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("value", [3, None, "width"])
def test_a_block_must_be_a_block(name, value):
    assert refusal(changed(name, value)).startswith(
        f"{name} is {value!r}; it must be a block with "
    )


def test_a_teacher_distils_from_nobody():
    config = teacher.get_config()
    with config.unlocked():
        config.kd = student.get_config().kd
    assert refusal(config).startswith("teacher: missing")


def test_an_objective_needs_a_term():
    values = plain(teacher)
    values["loss"] = dict.fromkeys(values["loss"], 0.0)
    assert refusal(ConfigDict(values)).startswith("loss: every term is 0")


# --- distillation ------------------------------------------------------------------------------

TERMS = [name.removeprefix("kd.") for name in WRONG if name[:3] == "kd." and WRONG[name] is WEIGHT]
OF_SCORES = {"response", "log_ratio"}


def student_of(scorer, **weights):
    """A student's config with these terms on and no other."""
    values = plain()
    values["teacher"]["scorer"] = scorer
    values["kd"] |= dict.fromkeys(TERMS, 0.0) | weights
    return ConfigDict(values)


@pytest.mark.parametrize("term", TERMS)
def test_a_scorer_teaches_scores_alone(term):
    configs.check(student_of("network", **{term: 1.0}))
    config = student_of("nearest_neighbour", **{"response": 0.5, term: 1.0})
    if term in OF_SCORES:
        configs.check(config)
        return
    message = refusal(config)
    assert message.startswith("teacher.scorer: nearest_neighbour ")
    assert f"kd.{term}" in message


@pytest.mark.parametrize("scorer", configs.SCORERS)
def test_a_student_without_any_term_learns_alone(scorer):
    alone = student_of(scorer)
    configs.check(alone)
    assert configs.is_student(alone)
    assert not configs.distils(alone)
    assert not configs.distils(teacher.get_config())
    for term in TERMS:
        assert configs.distils(student_of(scorer, **{term: 0.1}))


@pytest.mark.parametrize(
    ("field", "value"), [("teacher.scorer", "nearest_neighbour"), ("kd.transfer", "perturbed")]
)
def test_who_is_asked_beforehand_cannot_teach_beats_that_are_made_at_every_step(field, value):
    config = changed(field, value)
    configs.check(config)
    config.data.augment = "time_warp"
    message = refusal(config)
    assert message.startswith("data.augment: time_warp ")
    assert f"{field}={value}" in message
    config.kd.update(dict.fromkeys(TERMS, 0.0))  # nobody is asked
    configs.check(config)


# --- identity ----------------------------------------------------------------------------------


def test_where_the_data_stand_is_no_part_of_a_configs_identity():
    here, there = changed("data.dir", "here"), changed("data.dir", None)
    assert configs.identity(here) == configs.identity(there)
    assert configs.fingerprint(here) == configs.fingerprint(there)
    assert configs.differences(here, there) == []
    assert "dir" in here.data  # the config itself keeps it


OTHER = {name: EDGES[name][-1] for name in EDGES} | {
    "data.dataset": "mitbih",
    "data.protocol": "interpatient",
    "data.fold": 3,
    "data.split_seed": 3,
    "model.latent_dim": 3,
    "model.output_bias": False,
    "loss.reconstruction": 0.5,
    "loss.feature_matching": 0.5,
    "seed": 3,
    "teacher.epochs": 3,
    "teacher.model.width": 3,
    "teacher.model.latent_dim": 3,
    "teacher.model.output_bias": False,
    **{name: 0.5 for name in WRONG if name.startswith("kd.") and WRONG[name] is WEIGHT},
    "kd.select_quantile": 0.25,
}


@pytest.mark.parametrize("name", sorted(set(WRONG) - {"data.dir"}))
def test_every_other_field_is_and_its_difference_is_named(name):
    config, other = student.get_config(), changed(name, OTHER[name])
    configs.check(other)
    assert configs.fingerprint(config) != configs.fingerprint(other)
    (difference,) = configs.differences(config, other)
    assert difference.startswith(f"{name}: ")
    assert difference.endswith(" now")


def test_differences_name_both_values_and_fields_of_one_side():
    there = configs.identity(changed("epochs", 3))
    del there["kd"]["select"]
    now = changed("epochs", 4)
    assert configs.differences(there, now) == [
        "epochs: 3 there, 4 now",
        "kd.select: absent there, all now",
    ]


def test_a_config_read_back_from_json_is_the_same():
    """Tuples become lists there."""
    for make in SHIPPED.values():
        config = make.get_config()
        read = json.loads(json.dumps(config.to_dict()))
        assert configs.differences(read, config) == []
        assert configs.fingerprint(read) == configs.fingerprint(config)


ADDED = {
    "average_decay": 0.0,
    "data.augment": "none",
    "kd.log_ratio": 0.0,
    "kd.latent": 0.0,
    "kd.relation": 0.0,
    "kd.discriminator_features": 0.0,
    "kd.transfer": "none",
    "teacher.scorer": "network",
}


def before_the_terms():
    """A student's config as it was recorded when it had none of the fields in ADDED."""
    old = json.loads(json.dumps(plain()))
    for name in ADDED:
        *blocks, field = name.split(".")
        block = old[blocks[0]] if blocks else old
        assert block.pop(field) == ADDED[name]  # what the shipped config says today
    return old


def test_a_config_from_before_a_field_is_the_run_it_was():
    old, now = before_the_terms(), student.get_config()
    assert configs.identity(old) == configs.identity(now)
    assert configs.fingerprint(old) == configs.fingerprint(now)
    assert configs.differences(old, now) == []
    assert configs.distils(old)
    configs.check(ConfigDict(configs.complete(old)))


@pytest.mark.parametrize("make", SHIPPED.values(), ids=SHIPPED)
def test_a_run_made_before_augmentation_and_averaging_is_still_that_config_s(make):
    """Its checkpoints hold the fingerprint of all other fields."""
    old = json.loads(json.dumps(plain(make)))
    del old["data"]["augment"], old["data"]["dir"], old["average_decay"]
    recorded = hashlib.sha256(json.dumps(old, sort_keys=True).encode()).hexdigest()
    assert configs.fingerprint(make.get_config()) == recorded


@pytest.mark.parametrize("name", ADDED)
def test_a_config_from_before_a_field_is_not_a_run_with_it(name):
    (difference,) = configs.differences(before_the_terms(), changed(name, OTHER[name]))
    assert difference == f"{name}: {ADDED[name]} there, {OTHER[name]} now"


def test_completing_a_config_changes_no_field_that_it_has():
    """Nor the config itself; a teacher's has no block of a student's, and gets none."""
    whole = json.loads(json.dumps(changed("kd.latent", 0.5).to_dict()))
    assert configs.complete(whole) == whole
    old = before_the_terms()
    before = copy.deepcopy(old)
    configs.complete(old)
    assert old == before
    alone = json.loads(json.dumps(plain(teacher)))
    assert configs.complete(alone) == alone


# --- the teacher's config ----------------------------------------------------------------------


def test_a_students_teacher_is_trained_like_it_but_for_network_and_epochs():
    config = changed("teacher.epochs", 7)
    config.teacher.model.width = 24
    config.seed = 5
    before = copy.deepcopy(config.to_dict())
    wanted = configs.teacher_config(config)
    configs.check(wanted)
    assert not configs.is_student(wanted)
    assert wanted.to_dict() == {
        name: value for name, value in before.items() if name not in ("kd", "teacher")
    } | {"epochs": 7, "model": before["teacher"]["model"]}
    wanted.model.width = 99
    wanted.data.fold = 4
    assert config.to_dict() == before


def test_the_shipped_students_teacher_is_the_shipped_teacher():
    for dataset in teacher.DATASETS:
        wanted = configs.teacher_config(student.get_config(dataset))
        assert configs.differences(wanted, teacher.get_config(dataset)) == []


# --- declarations ------------------------------------------------------------------------------


def test_the_page_of_fields_is_made_from_the_declarations(capsys):
    page = Path(__file__).parents[2] / "docs" / "reference" / "config.md"
    runpy.run_path(configs.__file__, run_name="__main__")
    assert page.read_text() == configs.page() == capsys.readouterr().out
    for name in WRONG:
        assert f"| `{name}` |" in configs.page()


def test_defaults_are_a_whole_config_that_may_be_changed():
    config = configs.defaults(configs.StudentConfig)
    configs.check(config)
    config.grad_clip = 1.0
    config.data.dir = "here"
    with pytest.raises(TypeError):
        config.grad_clip = "much"
    assert configs.defaults().grad_clip is None


def test_reading_a_config_loads_no_jax():
    code = (
        "import sys; from configs import student; student.get_config(); "
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_a_term_of_one_s_own_leaves_earlier_runs_what_they_were(monkeypatch):
    """A field of a block that does not count is in the fingerprint once it is used."""
    every = configs.walk
    mine = declare(0.0, WEIGHT_RULE, "mine", added=True, counts=False)
    monkeypatch.setattr(configs, "walk", lambda kind: [*every(kind), ("kd.mine", mine)])
    before = plain(student)
    recorded = configs.fingerprint(before)
    own = copy.deepcopy(before) | {"kd": before["kd"] | {"mine": 0.0}}
    assert configs.fingerprint(own) == recorded
    own["kd"]["mine"] = 2.0
    assert configs.fingerprint(own) != recorded


def test_a_teacher_s_folder_is_the_same_however_it_is_spelt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recorded, now = student.get_config(), student.get_config()
    recorded.teacher.workdir = "runs/a"
    now.teacher.workdir = str(tmp_path / "runs/../runs/a")
    (tmp_path / "config.json").write_text(json.dumps(recorded.to_dict()))
    spelt = claim.check_directory(now, tmp_path, overwrite=False)
    assert spelt == "runs/a"
    assert configs.fingerprint(configs.with_teacher(now, spelt)) == configs.fingerprint(recorded)
    now.teacher.workdir = "runs/b"
    with pytest.raises(InputError, match=r"teacher\.workdir: runs/a there, runs/b now"):
        claim.check_directory(now, tmp_path, overwrite=False)


@pytest.mark.parametrize("value", [1e39, -1e39, math.inf])
def test_a_number_that_float32_does_not_hold_is_said_to_be_too_large(value):
    config = student.get_config()
    config.kd.response = value
    with pytest.raises(InputError, match=r"^kd\.response is .*, within float32$"):
        configs.check(config)
