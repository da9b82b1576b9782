"""What the workloads of texts share."""
