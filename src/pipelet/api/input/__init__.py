"""The input of an app, as every API of ours takes it: its schema, and how a body is parsed to a valid request."""
