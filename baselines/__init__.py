"""The methods that a weight-sparse transformer is compared with, null baselines included."""
