"""One run of one stage: settings read and checked, fingerprint, scratch folder, output put in place."""
