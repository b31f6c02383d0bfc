"""The weight-sparse transformer and its training."""
