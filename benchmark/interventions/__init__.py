"""Interventions: ablation of nodes and edges, and replacement of single nodes."""
