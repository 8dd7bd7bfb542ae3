"""What a source's few reviewed cells change in the classifier."""
