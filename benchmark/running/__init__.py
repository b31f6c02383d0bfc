"""Runs: settings, cells, the store, workers, and the tables at the end."""
