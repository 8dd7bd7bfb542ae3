"""Uploads: from files to analysed images of a session, and to saved samples."""
