"""Studies over many runs: sweep, variance, comparison, matching, verdicts."""
