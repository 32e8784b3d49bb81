"""The user's scans: which files are the same field, prepared and stored once."""
