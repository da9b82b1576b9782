"""One model family a file, each a FAMILY at its foot."""
