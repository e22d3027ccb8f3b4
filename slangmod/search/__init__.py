"""The search for hyper-parameters: what is tried, who chooses, where it is kept."""
