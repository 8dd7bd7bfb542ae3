"""Patients, samples, fields, cells, reviews and signatures, kept in a database."""
