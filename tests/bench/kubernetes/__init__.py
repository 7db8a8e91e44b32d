"""A Kubernetes of one node: its network, its certificates, its configuration, its start and end."""
