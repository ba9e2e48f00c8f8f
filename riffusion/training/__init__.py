"""Training of the shipped engine: corpus, dataset, train, evaluate."""
