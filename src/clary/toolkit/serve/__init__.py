"""The model server: `python -m clary.toolkit.serve`."""
