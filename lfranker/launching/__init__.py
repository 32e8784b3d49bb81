"""What runs the jobs of a power set: processes of this machine, or an engine that has many."""
