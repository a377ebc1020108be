"""From a running model to activations: layers, pooling, hooks."""
