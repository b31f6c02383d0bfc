"""The report: a finished run as one HTML file that needs nothing from any network."""
