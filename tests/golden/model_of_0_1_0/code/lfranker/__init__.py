"""The part of lfranker that a model needs."""
