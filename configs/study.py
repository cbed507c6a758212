"""What does a width-8 student learn from its teacher? Every term, every selection, every teacher.

kdjax study configs/study.py            # width 8, few epochs, 5 seeds, both protocols: on a CPU
kdjax study configs/study.py:confirm    # what was chosen, with fresh seeds
kdjax study configs/study.py:folds      # and on other folds
kdjax study configs/study.py:narrow     # widths 4 and 2, from a teacher of width 8
kdjax study configs/study.py:narrow_confirm  # what stood out there, with fresh seeds
kdjax study configs/study.py:long_8     # width 8, 40 epochs, 3 seeds: does length change it?
kdjax study configs/study.py:long       # the same of width 16: many hours on a CPU
kdjax study configs/study.py:embedded   # for docs/results/embedded.json: width 4 and 8 in integers
kdjax study configs/study.py:full       # width 32, 100 epochs: for a GPU
"""

from itertools import product
from typing import Any

from ml_collections import ConfigDict

from configs import student


def get_config(part: str = "screen") -> ConfigDict:
    """The grid of one part of the study."""
    if part not in PARTS:
        raise ValueError(f"no part {part!r} of this study; choose one of {', '.join(PARTS)}")
    base: Any = student.get_config("mitbih")
    base.model.width = 8
    base.kd.response = 0.0
    study = ConfigDict(
        {
            "base": base,  # the config of every cell, before its variant's fields
            "seeds": (0, 1, 2, 3, 4),
            # Protocol, fold and epochs: about as many steps on both.
            "splits": (("interpatient", 0, 3), ("beatgan", 0, 2)),
            "variants": _screen(),
            "scores": ("mahalanobis", "fusion"),  # beside the mean squared error
            "scored_fully": (),  # variants with every score and adaptation
        }
    )
    if part == "confirm":
        study.seeds = tuple(range(10, 20))
        study.splits = (("interpatient", 0, 3),)
        study.variants = _confirm()
        study.scored_fully = (CHOSEN,)
    if part == "folds":
        study.seeds = (20, 21, 22)
        study.splits = tuple(("beatgan", fold, 2) for fold in (1, 2, 3, 4))
        study.variants = _confirm()[:4]
        study.scored_fully = (CHOSEN,)
    if part == "narrow":
        study.seeds = tuple(range(30, 40))
        study.splits = (("interpatient", 0, 3),)
        study.variants = _narrow()
    if part == "narrow_confirm":
        study.seeds = tuple(range(70, 80))
        study.splits = (("interpatient", 0, 3),)
        named = ("teacher-8", "alone-4", "alone-reconstruction-4", NARROW_CHOSEN)
        study.variants = [variant for variant in _narrow() if variant["name"] in named]
    if part in ("long", "long_8"):
        study.seeds = (50, 51, 52)
        study.splits = (("beatgan", 0, 40),)
        study.variants = _long(width=8 if part == "long_8" else 16)
    if part == "embedded":
        study.seeds = tuple(range(30, 35))
        study.splits = (("interpatient", 0, 3),)
        study.variants = [
            _of_screen("teacher-8"),
            {"name": "alone-4", "fields": {"model": {"width": 4}}},
        ]
    if part == "full":
        base.model.width = 32
        study.splits = (("interpatient", 0, 100), ("beatgan", 0, 100))
        study.variants = _full()
    return study


PARTS = (
    *("screen", "confirm", "folds", "narrow", "narrow_confirm"),
    *("long_8", "long", "embedded", "full"),
)

# Set so that each term's gradient was about as strong as feature matching's in one student that
# learnt alone; in others it is several times stronger or weaker (docs/results/term_weights.json).
# No label and no score chose them.
WEIGHTS = {
    "kl": {"response": 6.0},
    "kl-minmax": {"response": 300.0, "response_scores": "minmax"},
    "log-ratio": {"log_ratio": 1.0},
    "reconstruction": {"reconstruction": 80.0},
    "attention": {"feature": 100.0},
    "latent": {"latent": 1.0},
    "relation": {"relation": 40.0},
    "discriminator-features": {"discriminator_features": 0.4},
}


# A teacher's reconstruction is nearly the beat: is it the teacher, or reconstruction's weight?
CONTROL = {"name": "alone-reconstruction", "fields": {"loss": {"reconstruction": 81.0}}}

MEMORY = "nearest_neighbour"


def _screen() -> list[dict]:
    """Two teachers, two students without one, then every term, selection and transfer set."""
    return [
        {"name": "teacher-8", "role": "teacher"},
        {"name": "teacher-16", "role": "teacher", "fields": {"model": {"width": 16}}},
        {"name": "alone"},
        {"name": "autoencoder", "fields": {"loss": {"feature_matching": 0.0}}},
        CONTROL,
        *(_student(name, "teacher-16", name) for name in WEIGHTS),
        _student("memory-log-ratio-transfer", MEMORY, "log-ratio", transfer="perturbed"),
        _student("log-ratio-transfer", "teacher-16", "log-ratio", transfer="perturbed"),
        _student("reconstruction-transfer", "teacher-16", "reconstruction", transfer="perturbed"),
        _student("memory-kl-transfer", MEMORY, "kl", transfer="perturbed"),
        _student("memory-log-ratio", MEMORY, "log-ratio"),
        _student("reconstruction-better", "teacher-16", "reconstruction", select="teacher_better"),
        _student("reconstruction-quantile", "teacher-16", "reconstruction", select="quantile"),
        _student("reconstruction-from-8", "teacher-8", "reconstruction"),
    ]


# The highest validation AUC (oracle) of the screen under interpatient.
CHOSEN = "reconstruction-quantile"
# The only narrow student whose test AUC stood above both others, in a secondary comparison.
NARROW_CHOSEN = "log-ratio-4"


def _confirm() -> list[dict]:
    """The chosen student, and the same at half its width."""
    narrow = {"model": {"width": 4}}
    chosen = _of_screen(CHOSEN)
    return [
        _of_screen("teacher-16"),
        {"name": "alone"},
        CONTROL,
        chosen,
        {"name": "alone-4", "fields": narrow},
        chosen | {"name": f"{CHOSEN}-4", "fields": chosen["fields"] | narrow},
    ]


def _narrow() -> list[dict]:
    """Widths 4 and 2: alone, with reconstruction's own weight raised, distilled; then the rest."""
    rest = [_student(name, "teacher-8", name) for name in ("reconstruction", "log-ratio")]
    chosen = _of_screen(CHOSEN) | {"teacher": "teacher-8"}
    compared = [{"name": "alone"}, CONTROL, chosen]
    grid = [_of_screen("teacher-8")]
    for variant, width in [*product(compared, (4, 2)), *product(rest, (4, 2))]:
        fields = variant.get("fields", {}) | {"model": {"width": width}}
        grid.append(variant | {"name": f"{variant['name']}-{width}", "fields": fields})
    return grid


def _long(width: int) -> list[dict]:
    """The reference's table at a width: a teacher, its copy with the published term, the same
    copy without it."""
    size, teacher = {"model": {"width": width}}, f"teacher-{width}"
    return [
        _of_screen(teacher),
        {"name": "alone", "fields": size},
        {"name": "response", "teacher": teacher, "fields": size | {"kd": {"response": 0.1}}},
    ]


def _full() -> list[dict]:
    """Width 32 with the three variants that validation preferred."""
    best = (CHOSEN, "log-ratio-transfer", "log-ratio")
    return [
        {"name": "teacher-32", "role": "teacher"},
        {"name": "alone"},
        *(_of_screen(name) | {"teacher": "teacher-32"} for name in best),
    ]


def _of_screen(name: str) -> dict:
    return next(variant for variant in _screen() if variant["name"] == name)


def _student(name: str, teacher: str, term: str, **more: str) -> dict:
    return {"name": name, "teacher": teacher, "fields": {"kd": WEIGHTS[term] | more}}
