"""What a generator is trained for, as fields of a config; loads no JAX."""

from dataclasses import dataclass

from kdjax.fields import FRACTION, FROM_ONE, WEIGHT, choice, declare

SCORE_TRANSFORMS = ("raw", "minmax", "standardised", "log")
SELECTIONS = ("all", "teacher_better", "quantile")
TRANSFERS = ("none", "perturbed")


@dataclass(frozen=True, kw_only=True)
class OwnTerms:
    """Weights of the generator's own terms; 0 is off."""

    reconstruction: float = declare(1.0, WEIGHT, "squared error of the beat")
    feature_matching: float = declare(
        1.0, WEIGHT, "squared error of the discriminator's features of the reconstruction"
    )
    adversarial: float = declare(
        0.0,
        WEIGHT,
        "alternative to feature matching: cross-entropy of the reconstruction as a real beat",
    )


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Weights of the distillation terms (0 is off), and how scores and beats are treated.

    Means over beats divide by all of them, selected or not: half of the beats is half of the term.
    Relations and the response are renormalised.
    """

    response: float = declare(
        0.0,
        WEIGHT,
        "KL divergence between softmaxes over the scores of a batch, transformed by "
        "`response_scores`, at `temperature`",
    )
    response_scores: str = declare(
        "standardised", choice(*SCORE_TRANSFORMS), "how scores are transformed before the softmaxes"
    )
    # Below 1 the exponentials of standardised scores leave float32 on large batches.
    temperature: float = declare(4.0, FROM_ONE, "temperature of both softmaxes")
    log_ratio: float = declare(0.0, WEIGHT, "squared log-ratio of the scores", added=True)
    reconstruction: float = declare(0.0, WEIGHT, "distance to the teacher's reconstruction")
    feature: float = declare(
        0.0, WEIGHT, "attention transfer over the stages of the encoder and the decoder"
    )
    latent: float = declare(
        0.0, WEIGHT, "distance to the teacher's latent, projected where sizes differ", added=True
    )
    relation: float = declare(
        0.0, WEIGHT, "distances and angles between the latents of a batch", added=True
    )
    discriminator_features: float = declare(
        0.0, WEIGHT, "the teacher's discriminator's features of both reconstructions", added=True
    )
    select: str = declare("all", choice(*SELECTIONS), "which beats the distillation terms see")
    select_quantile: float = declare(
        0.5,
        FRACTION,
        "for select=quantile: the share of beats to keep, by the teacher's error, lowest first",
    )
    transfer: str = declare(
        "none",
        choice(*TRANSFERS),
        "perturbed: the distillation terms also see perturbed beats, which no other term sees",
        added=True,
    )

    def weights(self) -> dict[str, float]:
        """The terms that are on, by the name they are logged under."""
        every = {
            "kd_response": self.response,
            "kd_log_ratio": self.log_ratio,
            "kd_reconstruction": self.reconstruction,
            "kd_feature": self.feature,
            "kd_latent": self.latent,
            "kd_relation": self.relation,
            "kd_discriminator_features": self.discriminator_features,
        }
        return {name: weight for name, weight in every.items() if weight}

    def needs_only_scores(self) -> bool:
        """Whether any frozen scorer of beats can be the teacher."""
        return self.weights().keys() <= {"kd_response", "kd_log_ratio"}
