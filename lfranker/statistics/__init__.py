"""Intervals and corrections over arrays of scores; nothing here knows a loss."""
