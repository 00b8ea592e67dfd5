"""Files that somebody else wrote: opened, measured and read with care, for every reader of this package.

A reader hands over the class of its own errors, so that a refused file reads like everything else that it refuses.
"""
