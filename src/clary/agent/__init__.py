"""Tends one workload on its machine."""
