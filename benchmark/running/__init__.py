"""Runs: settings, cells, the store, workers, and the tables written at the end."""
