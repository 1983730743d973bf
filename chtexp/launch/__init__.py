"""Who carries runs out: Hydra's launchers, workers of this machine, jobs of a cluster."""
