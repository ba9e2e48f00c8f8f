"""The corpus: songs composed, captioned and rendered, and the dataset of their windows."""
