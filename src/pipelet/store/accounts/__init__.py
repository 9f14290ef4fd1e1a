"""Keys, sessions and the audit trail, in what both dialects do alike."""
