"""How fast this library is against the plain way of doing the same: PEFT and the HF Trainer, padded batches, dense SVD.

Both ways get the same answers, rank, layers and precision. Each measurement runs in a process of its own, the two ways
take turns, and a matrix product timed before and after each tells how fast the machine was at that moment.
"""
