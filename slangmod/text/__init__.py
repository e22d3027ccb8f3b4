"""slangmod.text"""
