"""Errors that an algorithm blames on the job."""

from __future__ import annotations


class ClientError(Exception):
    """The job's hyperparameters, channels or data are at fault; the text goes to the failure reason."""
