"""slangmod.optim"""
