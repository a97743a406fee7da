"""One module for each revision, in order; a revision that was published is never edited."""
