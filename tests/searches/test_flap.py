from __future__ import annotations

from typing import Any

import pytest
import torch
from torch_geometric.nn import GCN

from stillhouse.contracts.errors import UserError
from stillhouse.searches import flap
from stillhouse.searches._activations import Reader, readers
from stillhouse.space.blueprint import Architecture, Axis, groups_of
from stillhouse.space.trace import traced
from tests.searches import handmade, toy

TOY = {"fit": None, "steps": 2}
"""Settings for the toy problems of the family's tests."""
GROUP = "blocks.0.first"


def test_moments_are_those_of_all_rows() -> None:
    """By hand: channels (1, 3, 2) and (0, 0.5, -0.5) vary by 1 and 0.25 around 2 and 0, also in two batches."""
    moments = flap.Moments()
    for part in (torch.tensor([handmade.TOKENS[:1]]), torch.tensor([handmade.TOKENS[1:]])):
        moments.add(part)
    assert moments.mean().tolist() == [2, 0]
    assert moments.variance().tolist() == [1, 0.25]


def test_importance_is_variance_times_squared_weights() -> None:
    """By hand: the neurons are x, y and x + y, which vary by 1, 0.25 and 1.75; their columns have squares 1, 5 and 9."""
    problem = handmade.problem()
    masks = {group.name: torch.ones(group.size) for group in problem.groups}
    found = flap._Fluctuation(flap.FlapSettings(batches=1)).score(problem, problem.supernet(), masks, torch.Generator())
    torch.testing.assert_close(found[GROUP], torch.tensor([1.0, 1.25, 1.75 * 9]))


def test_the_steadiest_goes_and_its_mean_stays_in_the_bias() -> None:
    """The first neuron is 2 on average and its column (1, 0): dropping it adds (2, 0)."""
    (trial,) = flap.run(handmade.problem(), flap.FlapSettings(batches=1), torch.Generator())
    assert trial.architecture.kept[GROUP] == (1, 2)
    assert trial.weights is not None
    assert trial.weights["blocks.0.second.bias"].tolist() == [2, 0]
    (plain,) = flap.run(handmade.problem(), flap.FlapSettings(batches=1, compensated=False), torch.Generator())
    assert plain.weights is not None
    assert plain.weights["blocks.0.second.bias"].tolist() == [0, 0]


def test_a_layer_without_a_bias_stays_without() -> None:
    (trial,) = flap.run(handmade.problem(bias=False), flap.FlapSettings(batches=1), torch.Generator())
    assert trial.weights is not None
    assert not any("bias" in name for name in trial.weights)


def test_scores_of_a_group_are_standardised() -> None:
    """By hand: (1, 2, 3) have mean 2 and deviation 1; what is dropped is below all."""
    found = flap.standardised(torch.tensor([1.0, 2, 3, 100]), (0, 1, 2))
    torch.testing.assert_close(found, torch.tensor([0.36787944, 1, 2.7182817, -1]))
    assert flap.standardised(torch.tensor([5.0, 7.0]), (1,)).tolist() == [-1, 1]


def test_groups_share_one_threshold_of_deviations() -> None:
    """By hand: 9 of (9, 10, 10, 10) is 1.5 deviations below the mean, 1 of (1, 1.1, 1.2, 9) half of one, though a third of its mean."""
    scores = {"even": torch.tensor([9.0, 10, 10, 10]), "uneven": torch.tensor([1.0, 1.1, 1.2, 9])}
    problem = toy.problem({"even": (1.0,) * 4, "uneven": (1.0,) * 4}, share=7 / 8)

    class Fixed(flap._Fluctuation):
        def score(self, *given: Any) -> Any:
            return scores

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flap, "_Fluctuation", Fixed)
        (trial,) = flap.run(problem, flap.FlapSettings(compensated=False), torch.Generator())
    assert trial.architecture.counts() == {"even": 3, "uneven": 4}


def test_a_convolution_adds_for_each_place_of_its_kernel() -> None:
    """A kernel of ones over what is 3 on average adds 3 for each of its places."""
    layer = torch.nn.Conv2d(1, 1, 3)
    torch.nn.init.ones_(layer.weight)
    reader = Reader("conv", layer, Axis((("one", 1),)), 1)
    assert flap.compensation(reader, torch.tensor([3.0], dtype=torch.float64), Architecture({"one": ()})).tolist() == [27]


def test_a_group_that_no_linear_layer_reads_is_told() -> None:
    problem = toy.problem()
    with pytest.raises(UserError, match="wanted groups that linear layers or convolutions read - left is read by none"):
        readers(torch.nn.Sequential(), problem.groups)


def test_linear_maps_of_other_libraries_are_readers_too() -> None:
    """PyTorch Geometric's are of a class of their own."""
    model = traced(GCN(5, 8, 2, 3).eval(), (torch.rand(4, 5), torch.tensor([[0, 1, 2], [1, 2, 3]])))
    assert [reader.name for reader in readers(model, groups_of(model))] == ["convs.1.lin"]
