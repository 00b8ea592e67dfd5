"""Adapters and fine-tuned models in other people's folders, read as an update of a model's weights.

`ws.delta.folders.delta` takes a folder of any kind: an adapter as PEFT saves it, one of mlx-lm, or a whole model.
Nothing in a folder is run and no path in it is followed. `ws.delta.folders.given` looks at a stranger's folder first,
as `ws eval` and `ws chat` do: it refuses links and what must not be loaded. An adapter whose update
cannot be made equal to what its own library computes is refused, by an error that names the reason.
"""
