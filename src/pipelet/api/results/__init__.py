"""Results of calls that wait for their images: how they end, and images that are sent as Base64."""
