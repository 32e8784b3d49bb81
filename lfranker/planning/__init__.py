"""Inputs of trainings, made once; which trainings there are, and how long they take."""
