"""Adapters and fine-tuned models that others keep in folders, as the update they make to a model's weights.

`ws.delta.folders.delta` takes a folder of any kind: an adapter as PEFT saves it, one of mlx-lm, or a whole model.
Nothing in a folder is run and no path in it is followed. What is not equal to what its own library computes is refused
by name.
"""
