"""The input of a submit: body, options and webhook URL."""
