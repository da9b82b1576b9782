"""Deliberate mistakes, each of which turns a named test red: `make mutants`, or `python -m tests.mutants NAME ...` for some of them.

A mutant is a patch of one place. It is applied to a copy of the sources, never to the working tree, and only its own tests run.
"""
