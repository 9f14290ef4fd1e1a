"""Drawing, in a child process: `process` is the parent's side, `child` the other one, `messages` what they say."""
