"""Parts of the page WBC count."""
