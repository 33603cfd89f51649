"""Commands of the command line, one module for each; `cli` has those that start and stop the platform."""
