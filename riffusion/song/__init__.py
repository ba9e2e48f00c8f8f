"""Songs: sections that come back. Plans in text, a planner, and playing them over a jam."""
