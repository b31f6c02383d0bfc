"""Published claims about sparse circuits and competing methods, as numbers measured for one model."""
