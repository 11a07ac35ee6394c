"""Section 15 - the checker: where does a port first leave the golden values, and how?"""
