"""Circuit discovery: which nodes and edges a task needs."""
