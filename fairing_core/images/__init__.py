"""Container images where they are: their names, credentials for registries, and the transfer."""
