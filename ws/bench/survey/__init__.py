"""Every causal language model of transformers, built tiny, steered and scored, compared with its own forward pass."""
