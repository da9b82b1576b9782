"""The models of the temporal-graph benchmarks; all forecast the difference from the mean of the window."""

from __future__ import annotations

from typing import Any

Block = dict[str, Any]
FRAME: Block = {"anchor": "mean"}
OURS: Block = {"family": "time_then_graph", "nodes": "series", "edges": "series", "convolution": "gine", **FRAME}
"""Histories in one linear map each, sums of messages in place of averages."""
RECURRENT: Block = {**OURS, "nodes": "gru"}
PUBLISHED: Block = {"family": "time_then_graph", **FRAME}
"""GRU-GCN, in the frame that all methods have."""
NO_EDGES: Block = {"family": "time_then_graph", "nodes": "series", "layers": 0, "join": "none", **FRAME}
PEERS: dict[str, Block] = {name: {"family": name, **FRAME} for name in ("graph_then_time", "evolvegcn_h", "evolvegcn_o", "gcrn", "dcrnn")}
ALL: dict[str, Block] = {"time_then_graph": OURS, "gru_gcn": PUBLISHED, "no_edges": NO_EDGES, **PEERS}
