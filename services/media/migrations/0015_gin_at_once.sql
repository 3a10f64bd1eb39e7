-- What has just come is found like the rest: by the index, not in a list beside it that every search reads.
ALTER INDEX item_tags_idx SET (fastupdate = off);
ALTER INDEX item_words_idx SET (fastupdate = off);
