"""Image files read and written: pixels, white level, data bars."""
