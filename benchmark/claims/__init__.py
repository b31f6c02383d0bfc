"""What is said of sparse circuits and of their rivals, as numbers of one model."""
