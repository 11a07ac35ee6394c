"""The golden cases, a module for each family (section 15)."""
