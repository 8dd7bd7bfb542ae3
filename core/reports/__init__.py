"""Charts and tables made from results."""
