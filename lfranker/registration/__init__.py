"""Two scans of a field put onto the same grid: shift, scale, drift."""
