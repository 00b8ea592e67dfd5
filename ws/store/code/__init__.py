"""Code in its normal form: what a store key says of a definition, whatever its names and wherever it stands."""
