"""The vision encoder: patch rows in, one language-width row for each merged token out (sections 05 to 08)."""
