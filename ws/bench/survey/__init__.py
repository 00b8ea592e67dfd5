"""Every causal language model of transformers, built tiny, loaded, steered, scored, compared with its own pass."""
