"""Workers over the machines of a Ray cluster, as many as the waiting work asks for. Only `seats` speaks to Ray."""
