"""Weights on disk: safetensors files, tensor names, the census (section 01)."""
