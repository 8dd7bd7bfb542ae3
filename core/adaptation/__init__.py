"""Site profiles: the classifier adapted to a few reviewed cells of a site."""
