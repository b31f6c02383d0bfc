"""Models whose circuit is known, and the audit of the metrics on them."""
