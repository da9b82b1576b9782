"""What may be searched: groups, masks, extraction and costs."""
