"""Scales workers over the machines of a Ray cluster with the queue. Only `ray_cluster` imports Ray."""
