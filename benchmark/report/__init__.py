"""Circuits and concepts of a run as text for people."""
