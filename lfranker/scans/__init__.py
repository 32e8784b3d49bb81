"""The user's scans: which files are the same field, registered onto each other once."""
