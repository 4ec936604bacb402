"""Training data through Feast: rows of old logs with allotted event times, read back as of just before each sample."""
