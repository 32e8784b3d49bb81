"""Words, tables and plots made from a ranking."""
