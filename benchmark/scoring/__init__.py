"""What is measured of a discovered circuit."""
