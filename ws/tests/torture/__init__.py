"""What a store must survive, done to it on purpose: `python -m ws.tests.torture`, or `make torture`.

Every part does something to stores, many times over, and counts what became of the artifacts. In the end each store
must equal one that nothing was done to, bit for bit.
"""
