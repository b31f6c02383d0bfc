"""Circuits and labels from Python in a few calls: what is not given is that of a finished run, or of preset quick."""
