"""What moved between two sides (commits, folders of verdicts, models, evidence, stores), and through which input."""
