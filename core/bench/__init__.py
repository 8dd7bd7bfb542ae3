"""`python -m core bench`: times and sizes of models, batch, API and server."""
