"""From a file to patch rows: decode, resize, normalise, cut into patches (section 02)."""
