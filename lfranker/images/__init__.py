"""Image files: read, written and copied with all that belongs to them."""
