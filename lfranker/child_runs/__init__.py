"""Child runs of a power set, and the processes that train and score in them."""
