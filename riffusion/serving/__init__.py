"""The page, its audio stream and its HTTP routes."""
