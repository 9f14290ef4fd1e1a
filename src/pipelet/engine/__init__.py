"""Generation in a child process: `process` is the parent's side, `child` the other, `messages` their protocol."""
