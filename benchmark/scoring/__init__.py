"""The scores of a discovered circuit."""
