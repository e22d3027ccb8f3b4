"""slangmod.training"""
