"""The models of the temporal-graph benchmarks; all forecast the difference from the mean of the window."""

from __future__ import annotations

from typing import Any

Block = dict[str, Any]
FRAME: Block = {"anchor": "mean"}
_AS_PUBLISHED: Block = {"family": "time_then_graph", "edges": "gru", "join": "concatenate", "activation": "softplus", **FRAME}
OURS: Block = {**_AS_PUBLISHED, "nodes": "series", "edges": "series", "convolution": "gine"}
"""Histories in one linear map each, sums of messages in place of averages."""
RECURRENT: Block = {**OURS, "nodes": "gru"}
PUBLISHED: Block = _AS_PUBLISHED
"""GRU-GCN, in the frame that all methods have."""
NO_EDGES: Block = {**_AS_PUBLISHED, "nodes": "series", "layers": 0, "join": "none"}
PEERS: dict[str, Block] = {name: {"family": name, **FRAME} for name in ("graph_then_time", "evolvegcn_h", "evolvegcn_o", "gcrn", "dcrnn")}
ALL: dict[str, Block] = {"time_then_graph": OURS, "gru_gcn": PUBLISHED, "no_edges": NO_EDGES, **PEERS}
