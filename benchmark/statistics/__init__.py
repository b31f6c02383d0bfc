"""Uncertainty: intervals, paired tests and variance components."""
