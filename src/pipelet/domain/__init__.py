"""What Pipelet is about: requests, their order, their progress and their end. Standard library only, no I/O."""
