// The writer of tests/data, for this binary too.
#include "data/parquet_writer.cpp"
