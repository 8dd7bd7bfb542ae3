"""The REST API beside the pages."""
