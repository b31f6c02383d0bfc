"""What other distributions add: the registry of records, and what their source and our code are."""
