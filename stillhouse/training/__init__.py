"""The training loop with its checkpoints, batches, scores, curves, latency and devices."""
