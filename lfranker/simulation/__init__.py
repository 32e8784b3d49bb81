"""Scenes and scans made without a microscope."""
