"""One model family per file, each a FAMILY at its foot."""
