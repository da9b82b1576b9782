"""Workloads on pictures."""
