"""What the workloads on pictures share."""
