"""The idea: a transformer whose weights are almost all zero, and how it is trained."""
