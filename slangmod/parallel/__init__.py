"""One program as several processes, each with a device of its own."""
