"""A user's own site: profiles from reviewed cells, and the models' figures on its images."""
