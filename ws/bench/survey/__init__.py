"""Every causal language model of transformers, built tiny, steered and scored as its own forward pass would."""
