"""A ranking goes out: page, note, marks, pictures and registered models."""
