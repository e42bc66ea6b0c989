This should have been a directory.
