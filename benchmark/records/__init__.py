"""Measured values, and the tables that hold them."""
