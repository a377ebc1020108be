"""A kernel's answers, learnt by the small projection that open_clip puts on a text tower."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_dissect.checks import check_positive
from lightning_dissect.encoders.isolation import isolated_loading


@dataclass(frozen=True)
class Distillation:
    """How the text projection of an export is fitted: one minus cosine as loss, Adam on minibatches, cosine decay.

    A text weighs as much as the squared norm of its target. The kernel answers far from its anchors with short vectors;
    without the weight these many uncertain answers would crowd out the few certain ones.

    Args:
        epochs: Passes over the texts.
        batch_size: Texts per step.
        learning_rate: Largest step size.
        seed: Of initialisation and order.

    Raises:
        ValueError:
            If a number is not positive.

    Example:
        >>> inputs = torch.eye(4)
        >>> projection = Distillation(epochs=50).fit(inputs, inputs[:, :2] - 0.5)
        >>> projection(inputs).argmax(dim=1)[:2]
        tensor([0, 1])

    """

    epochs: int = 20
    batch_size: int = 512
    learning_rate: float = 1e-2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            check_positive(name, getattr(self, name))

    def fit(self, inputs: Tensor, targets: Tensor) -> nn.Sequential:
        """Fit the projection that open_clip puts on a text tower: two linear maps without bias around a GELU.

        Args:
            inputs: Shape ``(texts, width)``.
            targets: Shape ``(texts, dimensions)``, not normalised.

        """
        weights = targets.square().sum(dim=1) / targets.square().sum(dim=1).mean()
        width, dimensions = inputs.shape[1], targets.shape[1]
        hidden = (width + dimensions) // 2
        generator = torch.Generator().manual_seed(self.seed)
        with isolated_loading(), torch.enable_grad():
            projection = nn.Sequential(
                nn.Linear(width, hidden, bias=False), nn.GELU(), nn.Linear(hidden, dimensions, bias=False)
            )
            for weight in projection.parameters():
                nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
            optimizer = torch.optim.Adam(projection.parameters(), lr=self.learning_rate)
            steps = self.epochs * math.ceil(len(inputs) / self.batch_size)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
            for _ in range(self.epochs):
                for batch in torch.split(torch.randperm(len(inputs), generator=generator), self.batch_size):
                    distances = 1 - F.cosine_similarity(projection(inputs[batch]), targets[batch])
                    optimizer.zero_grad()
                    torch.autograd.backward((weights[batch] * distances).mean())
                    optimizer.step()
                    schedule.step()
        return projection.requires_grad_(requires_grad=False)
