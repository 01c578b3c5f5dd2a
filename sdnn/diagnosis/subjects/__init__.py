"""Networks that the diagnosis looks at."""
