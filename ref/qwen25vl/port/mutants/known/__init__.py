"""The catalogue: one module for each group of mechanisms, one function for each bug (section 15)."""
