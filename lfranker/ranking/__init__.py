"""What scores say of losses: numbers only, no sentences and no files."""
