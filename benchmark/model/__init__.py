"""Circuit models: the one interface, the two graphs, circuits, and hooks for single edges."""
