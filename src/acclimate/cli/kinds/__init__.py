"""What ``acclimate explain`` explains, one file a ``--kind``."""
