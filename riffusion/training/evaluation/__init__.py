"""Evaluation: judges trained on the corpus, and what they and other measures say of a model."""
