"""Generation in a child process: `engine_process` is its parent's side, `child` its own, `messages` the protocol."""
