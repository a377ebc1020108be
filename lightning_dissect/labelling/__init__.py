"""From activations and a concept matrix to labels."""
