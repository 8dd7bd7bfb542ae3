"""What a laboratory's few reviewed cells change in the classifier."""
