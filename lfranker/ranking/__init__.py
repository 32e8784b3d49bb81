"""Rankings of losses by scores: numbers only, no sentences and no files."""
