"""Circuit discovery: the nodes and edges that a task needs."""
