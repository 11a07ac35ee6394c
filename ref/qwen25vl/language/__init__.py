"""The decoder: token and vision rows in, logits out (sections 09 and 10)."""
