"""fal's own ids, such as `fal-ai/z-image/turbo`: with fal's own input and output."""
