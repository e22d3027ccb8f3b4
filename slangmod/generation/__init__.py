"""slangmod.generation"""
