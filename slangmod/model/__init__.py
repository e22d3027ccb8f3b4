"""slangmod.model"""
