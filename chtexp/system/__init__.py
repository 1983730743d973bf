"""What we ask of the operating system: signals, cores, locks, memory, the cache of compiled kernels."""
