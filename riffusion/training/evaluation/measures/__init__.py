"""What an evaluation measures: each file returns rows of the table."""
