"""slangmod.runs"""
