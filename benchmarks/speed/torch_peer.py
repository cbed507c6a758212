"""BeatGAN in PyTorch, for comparison: the same networks and the same update as kdjax's.

Zhou et al., IJCAI 2019, with the layers that PyTorch users would take. Modules bear the names that
`kdjax.runs.interop` reads, so that weights go from one to the other. Needs the extra `bench`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from kdjax.models.sizes import LEAKY_SLOPE, REDUCTION, STAGES

# As in all that is compared with: products in float32 on every device.
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

ADAM = {"lr": 1e-4, "betas": (0.5, 0.999), "eps": 1e-8}


def _convolution(into: int, out: int) -> nn.Conv1d:
    return nn.Conv1d(into, out, 4, stride=2, padding=1, bias=False)


def _encoder(width: int, channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = [_convolution(channels, width), nn.LeakyReLU(LEAKY_SLOPE)]
    for stage in range(1, STAGES):
        out = width * 2**stage
        layers += [_convolution(out // 2, out), nn.BatchNorm1d(out), nn.LeakyReLU(LEAKY_SLOPE)]
    return layers


class Generator(nn.Module):
    """Beats [B, C, T] to reconstructions [B, C, T]."""

    def __init__(self, width: int, latent: int, length: int, *, channels: int) -> None:
        super().__init__()
        top, steps = width * 2 ** (STAGES - 1), length // REDUCTION
        head = nn.Conv1d(top, latent, steps, bias=False)
        self.encoder1 = nn.Sequential(*_encoder(width, channels), head)
        layers: list[nn.Module] = [nn.ConvTranspose1d(latent, top, steps, bias=False)]
        for stage in range(STAGES):
            into = top // 2**stage
            out = channels if stage == STAGES - 1 else into // 2
            layers += [
                nn.BatchNorm1d(into),
                nn.ReLU(),
                nn.ConvTranspose1d(into, out, 4, stride=2, padding=1, bias=False),
            ]
        self.decoder = nn.Sequential(*layers, nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder1(x))


class Discriminator(nn.Module):
    """Beats [B, C, T] to logits [B] and the features before them."""

    def __init__(self, width: int, length: int, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*_encoder(width, channels))
        head = nn.Conv1d(width * 2 ** (STAGES - 1), 1, length // REDUCTION, bias=False)
        self.classifier = nn.Sequential(head)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.features(x)
        return self.classifier(features).flatten(), features


def draw(
    seed: int, width: int, latent: int, *, length: int, channels: int
) -> dict[str, np.ndarray]:
    """Weights of both networks by 'G/name' and 'D/name', drawn as BeatGAN draws them."""
    torch.manual_seed(seed)
    networks = {
        "G": Generator(width, latent, length, channels=channels),
        "D": Discriminator(width, length, channels),
    }
    for network in networks.values():
        for module in network.modules():
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                nn.init.xavier_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm1d):
                nn.init.normal_(module.weight, 1.0, 0.02)
    return {
        f"{part}/{name}": tensor.numpy()
        for part, network in networks.items()
        for name, tensor in network.state_dict().items()
    }


def load(network: nn.Module, weights: dict[str, np.ndarray]) -> nn.Module:
    """The network with these weights."""
    network.load_state_dict({name: torch.as_tensor(a) for name, a in weights.items()})
    return network.to(DEVICE)


def step_as_published(
    generator: Any, discriminator: Any, optimizers: Any, *, x: torch.Tensor, distil: Callable | None
) -> dict[str, torch.Tensor]:
    """A pass of the generator for each of both updates, and gradients for all that takes part."""
    optimizer_g, optimizer_d = optimizers
    optimizer_d.zero_grad()
    logit_real, _ = discriminator(x)
    logit_fake, _ = discriminator(generator(x))  # the published code goes back through it too
    loss_real, loss_fake = _real_or_fake(logit_real, logit_fake)
    (loss_real + loss_fake).backward()
    optimizer_d.step()

    optimizer_g.zero_grad()
    x_hat = generator(x)
    _, features_fake = discriminator(x_hat)
    _, features_real = discriminator(x)
    terms = _generator_terms(x, x_hat, features_real, features_fake=features_fake, distil=distil)
    terms.pop("total").backward()
    optimizer_g.step()
    return {"D_real": loss_real, "D_fake": loss_fake} | terms


def step_with_savings(
    generator: Any, discriminator: Any, optimizers: Any, *, x: torch.Tensor, distil: Callable | None
) -> dict[str, torch.Tensor]:
    """The same numbers as kdjax gets them: one pass of the generator, no gradient unused."""
    optimizer_g, optimizer_d = optimizers
    x_hat = generator(x)
    optimizer_d.zero_grad()
    logit_real, _ = discriminator(x)
    logit_fake, _ = discriminator(x_hat.detach())
    loss_real, loss_fake = _real_or_fake(logit_real, logit_fake)
    (loss_real + loss_fake).backward()
    optimizer_d.step()

    optimizer_g.zero_grad()
    for parameter in discriminator.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        _, features_real = discriminator(x)
    _, features_fake = discriminator(x_hat)
    terms = _generator_terms(x, x_hat, features_real, features_fake=features_fake, distil=distil)
    terms.pop("total").backward()
    for parameter in discriminator.parameters():
        parameter.requires_grad_(True)
    optimizer_g.step()
    return {"D_real": loss_real, "D_fake": loss_fake} | terms


def _real_or_fake(real: torch.Tensor, fake: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    bce = functional.binary_cross_entropy_with_logits
    return bce(real, torch.ones_like(real)), bce(fake, torch.zeros_like(fake))


def _generator_terms(
    x: torch.Tensor,
    x_hat: torch.Tensor,
    features_real: torch.Tensor,
    *,
    features_fake: torch.Tensor,
    distil: Callable | None,
) -> dict[str, torch.Tensor]:
    terms = {
        "reconstruction": functional.mse_loss(x_hat, x),
        "feature_matching": functional.mse_loss(features_fake, features_real),
    }
    total = terms["reconstruction"] + terms["feature_matching"]
    if distil is not None:
        terms["kd_response"], weight = distil(score(x_hat, x))
        total = total + weight * terms["kd_response"]
    return terms | {"total": total}


def score(x_hat: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Anomaly scores [B]."""
    return (x_hat - x).square().mean(dim=(1, 2))


class Scorer(nn.Module):
    """Beats [B, C, T] to anomaly scores [B]."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return score(self.generator(x), x)


def response_kl(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T^2 KL between the softmaxes of two batches of standardised scores [B]."""
    log_s, log_t = (
        functional.log_softmax(_standardised(s) / temperature, dim=0) for s in (student, teacher)
    )
    kl = functional.kl_div(log_s, log_t, reduction="sum", log_target=True)
    return temperature**2 * kl


def _standardised(score: torch.Tensor) -> torch.Tensor:
    centred = score - score.mean()
    return centred / centred.square().mean().sqrt()
