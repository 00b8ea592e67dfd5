"""Looking after a store: what a key is made of, what may go, what can be carried over to new code."""
