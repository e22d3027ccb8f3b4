"""slangmod.data"""
