"""The benchmark behind `make bench`: the peers and us, side by side on one cluster. It reports; it tests nothing."""
