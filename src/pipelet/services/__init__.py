"""What the product does, once for all callers. No HTTP, no SQL, no torch."""
