"""Processes of this machine: run a few at a time, copied or started, ended; why one failed."""
