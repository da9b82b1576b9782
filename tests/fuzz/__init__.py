"""Malformed inputs of readers, made from valid ones by a seed: each must be accepted or refused in one sentence."""
