"""Stages on other machines: what a stage takes along, which node it goes to, what a node does with it, and how its result comes home.

A node is a process worker of a Prefect work pool with a queue of its own. Data travel through the DVC remote; the head alone writes
dvc.lock and speaks to MLflow.
"""
