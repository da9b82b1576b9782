"""The models of the temporal-graph benchmarks; all forecast the difference from the mean of the window."""

from __future__ import annotations

from typing import Any

Block = dict[str, Any]
FRAME: Block = {"anchor": "mean"}
OURS: Block = {"family": "time_then_graph", "edges": "series", "convolution": "gine", **FRAME}
"""Edges' histories in one linear map, sums of messages in place of averages."""
PUBLISHED: Block = {"family": "time_then_graph", **FRAME}
"""GRU-GCN, in the frame that all methods have."""
NO_EDGES: Block = {"family": "time_then_graph", "layers": 0, "join": "none", **FRAME}
PEERS: dict[str, Block] = {name: {"family": name, **FRAME} for name in ("graph_then_time", "evolvegcn_h", "evolvegcn_o", "gcrn", "dcrnn")}
ALONE: dict[str, Block] = {"time_then_graph": OURS, "gru_gcn": PUBLISHED, "no_edges": NO_EDGES}
ALL: dict[str, Block] = ALONE | PEERS
