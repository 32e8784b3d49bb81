"""A power set from inputs to ranking: plan, child processes, what follows; callable from Python."""
