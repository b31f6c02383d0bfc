"""What a run will take before it starts: memory, files, operations and tokens of each cell, and what a machine has."""
