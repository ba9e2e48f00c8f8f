"""Training of the shipped engine: the run, its loss, its critics and its prompt adapter."""
