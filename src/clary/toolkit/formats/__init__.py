"""Data formats of training channels and inference requests."""
