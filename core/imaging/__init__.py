"""Decoding, drawing and making of pictures."""
