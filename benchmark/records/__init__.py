"""What a measured value is, and the tables that hold it."""
