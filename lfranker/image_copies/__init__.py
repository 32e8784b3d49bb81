"""Image files copied with other pixels of the specimen: what else is in them stays."""
