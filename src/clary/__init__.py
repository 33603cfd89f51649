"""Clary: a machine-learning platform that speaks the AWS APIs and runs the work on your own machine."""

__version__ = "0.1.0"
