"""Bytes to dictionaries and back, by the botocore model."""
