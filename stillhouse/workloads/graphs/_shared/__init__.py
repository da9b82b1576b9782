"""What the workloads on graphs share."""
