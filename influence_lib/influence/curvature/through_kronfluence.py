"""EK-FAC self-influence through the kronfluence library: the reference back end.

kronfluence keeps one gradient a module and a forward pass, so two separate passes f(x), f(x̂) would silently
lose a view. Here both views are one stacked batch, and the two halves of each per-sample gradient are added
in the library's own hook for that.
"""

import tempfile
import warnings
from collections import Counter

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset
from tqdm import TqdmWarning

from influence_lib.device import PRECISIONS, cudnn_settings
from influence_lib.errors import InputError, reject
from influence_lib.influence.curvature.passes import explain
from influence_lib.influence.views.gradients import Layers, recorded_calls
from influence_lib.influence.views.losses import agree, one_for_equal_views
from influence_lib.influence.views.pairs import BATCH_SIZE, Pairs
from influence_lib.influence.views.source import GradientSource
from influence_lib.optional import needed
from influence_lib.pretrain.representations import copied, represent

with needed("curvature = 'kronfluence'", "run `pip install kronfluence==1.0.1`"), warnings.catch_warnings():
    # kronfluence's dependency asks for widgets, which a page without network could not show
    warnings.simplefilter("ignore", TqdmWarning)
    from kronfluence import Analyzer, FactorArguments, ScoreArguments, Task, prepare_model

__all__ = ["kronfluence_scores"]


class PairDataset(Dataset):
    """Every pair of views, 2×3×H×W, with its index."""

    def __init__(self, pairs: Pairs):
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        batch = self.pairs.batch(torch.tensor([index]))
        return torch.cat([batch.left, batch.right]).cpu(), index


class TwoViewTask(Task):
    """kronfluence's description of the loss of two views."""

    enable_post_process_per_sample_gradient = True

    def __init__(self, source: GradientSource):
        super().__init__()
        self.source = source

    def compute_train_loss(self, batch: tuple[Tensor, Tensor], model: nn.Module, sample: bool = False) -> Tensor:
        views, indices = batch
        z_left, z_right = represent(model, views.transpose(0, 1).flatten(0, 1)).chunk(2)
        objective = self.source.pairs.objective(self.source.loss, indices.cpu(), "sampled" if sample else "empirical")
        return objective(*one_for_equal_views(views[:, 0], views[:, 1], z_left, z_right)).sum()

    def compute_measurement(self, batch: tuple[Tensor, Tensor], model: nn.Module) -> Tensor:
        return self.compute_train_loss(batch, model)

    def get_influence_tracked_modules(self) -> list[str]:
        return list(self.source.layers)

    def post_process_per_sample_gradient(self, module_name: str, gradient: Tensor) -> Tensor:
        left, right = gradient.unflatten(0, (2, -1))
        cancelled = agree(left, -right)
        return (left + right).masked_fill(cancelled.view(-1, *[1] * (left.ndim - 1)), 0)


def kronfluence_scores(
    source: GradientSource, fitted: Tensor, fisher: str, damping: float | None, progress: bool, strategy: str = "ekfac"
) -> Tensor:
    """Return gᵀ(H + λI)⁻¹g of every pair.

    Parameters
    ----------
    source : GradientSource
        Of the gradients, as for our own curvatures.
    fitted : Tensor
        Indices of the pairs on which H is fitted.
    fisher : {"empirical", "sampled"}
        Whether H is the second moment of the loss gradients, or of gradients with sampled targets.
    damping : float or None
        λ; None is 0.1 × the mean eigenvalue of each layer.
    progress : bool
        Whether to show kronfluence's progress bars.
    strategy : str
        kronfluence's name of the approximation; tests compare more than EK-FAC.

    Returns
    -------
    Tensor
        float32, one value a pair. A layer in which no gradient was seen counts for nothing.

    Raises
    ------
    InputError
        If the precision is lower than float32, or a layer is frozen in part or of a kind whose gradients kronfluence
        1.0.1 computes wrongly.
    FloatingPointError
        If a gradient is not finite; the sentence names the layer and the images.
    """
    if source.autocast is not None:
        precision = next(name for name, known in PRECISIONS.items() if known is source.autocast)
        reject("precision", precision, "'fp32' with curvature = 'kronfluence', which has no other")
    if source.pairs.device.type == "mps":
        reject("device", "mps", "'cpu' with curvature = 'kronfluence', whose factors are in float64")
    _refuse_what_kronfluence_gets_wrong(source.layers)
    pairs, task = PairDataset(source.pairs), TwoViewTask(source)
    # kronfluence wraps the layers of what it is given
    model = prepare_model(copied(source.encoder), task)
    exact = cudnn_settings(allow_tf32=False)  # as in our own passes
    dtype = source.pairs.dtype
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), exact:
        # kronfluence makes a disabled GradScaler by its old name
        warnings.filterwarnings("ignore", message=".*GradScaler.*", category=FutureWarning)
        analyzer = Analyzer(
            "self_influence",
            model,
            task,
            cpu=source.pairs.device.type == "cpu",
            disable_tqdm=not progress,
            output_dir=folder,
        )
        data = Subset(pairs, fitted.tolist())
        how = FactorArguments(
            strategy=strategy,
            use_empirical_fisher=fisher == "empirical",
            has_shared_parameters=_calls_twice(source),
            activation_covariance_dtype=dtype,
            gradient_covariance_dtype=dtype,
            per_sample_gradient_dtype=dtype,
            lambda_dtype=dtype,
        )
        damped = ScoreArguments(
            damping_factor=damping,
            compute_per_module_scores=True,
            per_sample_gradient_dtype=dtype,
            precondition_dtype=dtype,
            score_dtype=dtype,
        )
        try:
            analyzer.fit_all_factors("factors", data, per_device_batch_size=BATCH_SIZE, factor_args=how)
            analyzer.compute_self_scores(
                "scores", "factors", pairs, per_device_train_batch_size=BATCH_SIZE, score_args=damped
            )
        except torch.linalg.LinAlgError:
            explain(source, torch.arange(len(pairs)), "empirical", "kronfluence")
        scores = analyzer.load_self_scores("scores")
        moments = (analyzer.load_lambda_matrices("factors") or {}).get("lambda_matrix", {})
        # damping of a layer without any gradient is 0 when it is relative, and 0 / 0 is no number
        seen = [name for name in source.layers if damping is not None or moments.get(name, torch.ones(1)).any()]
        return sum((scores[name] for name in seen), torch.zeros(len(pairs), dtype=dtype)).float()


def _calls_twice(source: GradientSource) -> bool:
    """Return whether a layer is called more than once, which kronfluence has to be told.

    Raises
    ------
    InputError
        If a call has no gradient, whose input kronfluence would put beside the gradient of another one.
    """
    calls: Counter[str] = Counter()
    handles = [m.register_forward_hook(lambda *_, n=n: calls.update([n])) for n, m in source.layers.items()]
    batch = source.pairs.batch(torch.tensor([0]))
    objective = source.pairs.objective(source.loss, batch.indices)
    records = recorded_calls(source.encoder, source.layers, batch.left, batch.right, objective)
    for handle in handles:
        handle.remove()
    for name, count in calls.items():
        if count != len(records[name]):
            raise InputError(
                f"encoder calls its layer {name!r} {count} times, and {len(records[name])} of them with a gradient,"
                " which kronfluence gets wrong: use curvature='ekfac'."
            )
    return max(calls.values()) > 1


def _refuse_what_kronfluence_gets_wrong(layers: Layers) -> None:
    """Raise for layers that kronfluence 1.0.1 takes without a word and gets wrong, or does not know.

    It averages the input over channel groups, and unfolds with zeros whatever the padding mode is.
    """
    for name, layer in layers.items():
        if type(layer) not in (nn.Linear, nn.Conv2d):
            raise InputError(
                f"encoder has a layer {name!r} of the class {type(layer).__name__}, which kronfluence does not know:"
                " use curvature='ekfac'."
            )
        if any(not p.requires_grad for p in (layer.weight, layer.bias) if p is not None):
            raise InputError(
                f"encoder has a layer {name!r} of which only the weight or the bias is frozen, which kronfluence does"
                " not take: use curvature='ekfac'."
            )
        if isinstance(layer, nn.Conv2d) and (layer.groups > 1 or layer.padding_mode != "zeros"):
            raise InputError(
                f"encoder has a layer {name!r} with groups = {layer.groups} and padding_mode ="
                f" {layer.padding_mode!r}, whose gradients kronfluence gets wrong: use curvature='ekfac'."
            )
