"""How each model is trained and published."""
