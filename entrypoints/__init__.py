"""Command lines, one module per entry point of MLproject: parse, validate, call, report."""
