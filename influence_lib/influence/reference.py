"""EK-FAC self-influence through the kronfluence library: the reference back end.

kronfluence keeps one gradient a module and a forward pass, so two separate passes f(x), f(x̂) would silently
lose a view. Here both views are one stacked batch, and the two halves of each per-sample gradient are added
in the library's own hook for that.
"""

import copy
import tempfile
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset
from tqdm import TqdmWarning

from influence_lib.data import ImageSet
from influence_lib.errors import InputError
from influence_lib.influence.gradients import Layer, tracked_layers
from influence_lib.influence.losses import two_view_loss
from influence_lib.influence.perturbations import Perturbation, view_pair

with warnings.catch_warnings():
    # kronfluence's dependency asks for widgets, which a page without network could not show
    warnings.simplefilter("ignore", TqdmWarning)
    from kronfluence import Analyzer, FactorArguments, ScoreArguments, Task, prepare_model

__all__ = ["PairDataset", "kronfluence_scores"]

BATCH_SIZE = 32


class PairDataset(Dataset):
    """Every image in every draw: item ``draw * N + i`` is the pair of views of image i, 2×3×H×W in [0, 1]."""

    def __init__(self, images: ImageSet, perturbation: Perturbation, views: str, draws: int, seed: int):
        self.images, self.perturbation, self.views = images, perturbation, views
        self.draws, self.seed = draws, seed

    def __len__(self) -> int:
        return self.draws * len(self.images)

    def __getitem__(self, item: int) -> Tensor:
        draw, i = divmod(item, len(self.images))
        pixels = self.images.images[i : i + 1].float() / 255
        pair = view_pair(pixels, [int(self.images.ids[i])], self.perturbation, self.views, self.seed, draw)
        return torch.cat(pair)


class TwoViewTask(Task):
    """kronfluence's description of the two-view loss."""

    enable_post_process_per_sample_gradient = True

    def __init__(self, layers: list[str], seed: int):
        super().__init__()
        self.layers = layers
        self.generator = torch.Generator().manual_seed(seed)

    def compute_train_loss(self, batch: Tensor, model: nn.Module, sample: bool = False) -> Tensor:
        z_left, z_right = model(batch.transpose(0, 1).flatten(0, 1)).chunk(2)
        if not sample:
            return two_view_loss(z_left, z_right).sum()
        # The cosine distance is half a squared distance, the negative log-likelihood of a unit Gaussian whose
        # mean is the difference of the normalised views. Its score under a sampled target is ε·∂(difference),
        # whose second moment is the Gauss-Newton matrix.
        difference = F.normalize(z_left, dim=1) - F.normalize(z_right, dim=1)
        noise = torch.randn(difference.shape, generator=self.generator).to(difference)
        return (noise * difference).sum()

    def compute_measurement(self, batch: Tensor, model: nn.Module) -> Tensor:
        return self.compute_train_loss(batch, model)

    def get_influence_tracked_modules(self) -> list[str]:
        return self.layers

    def post_process_per_sample_gradient(self, module_name: str, gradient: Tensor) -> Tensor:
        return gradient.unflatten(0, (2, -1)).sum(0)


def kronfluence_scores(
    encoder: nn.Module,
    pairs: PairDataset,
    strategy: str,
    fisher: str,
    damping: float | None,
    factor_pairs: int | None,
    seed: int,
    device: torch.device,
    progress: bool,
) -> Tensor:
    """Return gᵀ(H + λI)⁻¹g of every pair.

    Parameters
    ----------
    encoder : nn.Module
        Maps B×3×H×W pixels in [0, 1] to B×D. It is copied: kronfluence wraps the layers of what it is given.
    pairs : PairDataset
        The images in all draws.
    strategy : str
        kronfluence's name of the approximation: ``"ekfac"`` or, for tests, ``"identity"``.
    fisher : {"empirical", "sampled"}
        Whether H is the second moment of the loss gradients, or of gradients with sampled targets.
    damping : float or None
        λ; None is 0.1 × the mean eigenvalue of each layer.
    factor_pairs : int or None
        How many pairs, evenly spaced over all of them, H is fitted on; None is all.
    seed : int
        Of the sampled targets.
    device : torch.device
        Where to compute.
    progress : bool
        Whether to show kronfluence's progress bars.

    Returns
    -------
    Tensor
        float32, one value a pair.

    Raises
    ------
    InputError
        If a layer is of a kind whose gradients kronfluence 1.0.1 computes wrongly.
    """
    wanted = len(pairs) if factor_pairs is None else min(factor_pairs, len(pairs))
    fitted = Subset(pairs, torch.linspace(0, len(pairs) - 1, wanted).long().tolist())
    layers = tracked_layers(encoder)
    _refuse_what_kronfluence_gets_wrong(layers)
    task = TwoViewTask(list(layers), seed)
    model = prepare_model(copy.deepcopy(encoder).eval(), task)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # kronfluence makes a disabled GradScaler by its old name
        warnings.filterwarnings("ignore", message=".*GradScaler.*", category=FutureWarning)
        analyzer = Analyzer(
            "self_influence",
            model,
            task,
            cpu=device.type == "cpu",
            disable_tqdm=not progress,
            output_dir=folder,
        )
        analyzer.fit_all_factors(
            "factors",
            fitted,
            per_device_batch_size=BATCH_SIZE,
            factor_args=FactorArguments(strategy=strategy, use_empirical_fisher=fisher == "empirical"),
        )
        analyzer.compute_self_scores(
            "scores",
            "factors",
            pairs,
            per_device_train_batch_size=BATCH_SIZE,
            score_args=ScoreArguments(damping_factor=damping),
        )
        return analyzer.load_self_scores("scores")["all_modules"].float()


def _refuse_what_kronfluence_gets_wrong(layers: dict[str, Layer]) -> None:
    """Raise for convolutions that kronfluence 1.0.1 takes without a word and gets wrong.

    It averages the input over channel groups, and unfolds with zeros whatever the padding mode is.
    """
    for name, layer in layers.items():
        if isinstance(layer, nn.Conv2d) and (layer.groups > 1 or layer.padding_mode != "zeros"):
            raise InputError(
                f"encoder has a layer {name!r} with groups = {layer.groups} and padding_mode ="
                f" {layer.padding_mode!r}, whose gradients kronfluence gets wrong: use curvature='identity'."
            )
