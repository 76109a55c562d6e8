"""How often women and men appear in a collection, corrected for the classifier's errors. Needs the extra ``survey``."""
