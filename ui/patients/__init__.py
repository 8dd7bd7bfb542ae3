"""Parts of the page Patients."""
