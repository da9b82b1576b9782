"""Messages along edges as products with a sparse matrix: no message is ever in memory."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_in_torch_dispatch_mode
from torch.utils.weak import WeakTensorKeyDictionary

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_MATRICES = WeakTensorKeyDictionary()
"""Edges -> their matrix, for as long as a batch holds these edges."""


def by_matrix(model: nn.Module, part: str = "") -> nn.Module:
    """Lets a network of features and edges, or that `part` of one, see edges as a matrix where that is faster; gives the network back.

    It is on a CPU, in single or double precision. What is compiled or exported keeps the edges, of which there may be any number,
    and so does who follows each operation: a sparse product does not tell that the columns that come out are those that went in.
    """
    model.get_submodule(part).register_forward_pre_hook(_with_matrix)
    return model


def _with_matrix(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    features, edges = given
    if edges.device.type != "cpu" or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling() or is_in_torch_dispatch_mode():
        return given
    edges.detach()  # an operation, so that who asks which tensors a network reads sees the edges, kept matrix or not
    matrix = _MATRICES.get(edges)
    if matrix is None or (len(matrix), matrix.dtype) != (len(features), features.dtype):
        matrix = _MATRICES[edges] = adjacency(edges, len(features), features.dtype)
    return features, matrix


def adjacency(edges: Int[Tensor, "2 edges"], nodes: int, kind: torch.dtype) -> Float[Tensor, "nodes nodes"]:
    """Ones in the row of an edge's target and the column of its source, in compressed sparse rows."""
    from torch_geometric.utils import sort_edge_index, to_torch_csr_tensor

    ordered = sort_edge_index(edges.flip(0), num_nodes=nodes)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse (CSR|invariant)")  # said once: that they are new, and that nobody checks them
        matrix: Tensor = to_torch_csr_tensor(ordered, torch.ones(ordered.shape[1], dtype=kind), (nodes, nodes), is_coalesced=True)
    return matrix
