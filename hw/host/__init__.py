"""What the host needs of an engine: a build's files, packets, views of what is written."""
