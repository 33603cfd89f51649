"""Writes the files that follow from code and models: request types, the coverage page, the reference."""
