"""Code in its normal form: the part of a definition that a store key covers, whatever its names and its module."""
