"""Workloads on graphs."""
