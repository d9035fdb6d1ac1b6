// Builds the one precompiled header that every file with libtorch in it reuses.
