"""Files of the vendors' microscopes: what they say of a scan, in one form."""
