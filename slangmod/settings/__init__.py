"""Settings that explain themselves: one frozen object, every value with its origin."""
