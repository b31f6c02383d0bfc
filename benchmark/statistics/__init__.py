"""Uncertainty: intervals, paired tests, and where scatter comes from."""
