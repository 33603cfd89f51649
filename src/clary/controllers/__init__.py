"""Bring each record to its desired state."""
