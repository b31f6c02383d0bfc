"""The rivals: what a weight-sparse transformer is compared with; no module here knows another."""
