"""What is fal's in a submit: options and webhook URL."""
