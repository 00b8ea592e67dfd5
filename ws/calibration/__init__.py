"""Whether the rules of `ws.stats` keep what they promise: simulated claims, judged by the suite's own classes."""
